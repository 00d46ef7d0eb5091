"""The histories of tickets and releases refuse UPDATE and DELETE in the database."""

from django.db import migrations

SQL = """
CREATE FUNCTION voc_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER voc_ticketevent_append_only BEFORE UPDATE OR DELETE ON voc_ticketevent
    FOR EACH ROW EXECUTE FUNCTION voc_refuse_change();
CREATE TRIGGER voc_releaseevent_append_only BEFORE UPDATE OR DELETE ON voc_releaseevent
    FOR EACH ROW EXECUTE FUNCTION voc_refuse_change();
"""
REVERSE_SQL = """
DROP TRIGGER voc_ticketevent_append_only ON voc_ticketevent;
DROP TRIGGER voc_releaseevent_append_only ON voc_releaseevent;
DROP FUNCTION voc_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("voc", "0001_initial")]

    operations = [migrations.RunSQL(SQL, REVERSE_SQL)]
