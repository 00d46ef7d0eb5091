"""An erasure may take a person's values out of the notes of tickets; nothing else may change them."""

from django.db import migrations

SQL = """
CREATE FUNCTION voc_refuse_change_but_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('renxin.erasing', true) = 'on'
       AND (to_jsonb(NEW) - 'note') = (to_jsonb(OLD) - 'note') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
DROP TRIGGER voc_ticketevent_append_only ON voc_ticketevent;
CREATE TRIGGER voc_ticketevent_append_only BEFORE UPDATE OR DELETE ON voc_ticketevent
    FOR EACH ROW EXECUTE FUNCTION voc_refuse_change_but_erasure();
"""
REVERSE_SQL = """
DROP TRIGGER voc_ticketevent_append_only ON voc_ticketevent;
CREATE TRIGGER voc_ticketevent_append_only BEFORE UPDATE OR DELETE ON voc_ticketevent
    FOR EACH ROW EXECUTE FUNCTION voc_refuse_change();
DROP FUNCTION voc_refuse_change_but_erasure();
"""


class Migration(migrations.Migration):
    dependencies = [("voc", "0002_append_only")]

    operations = [migrations.RunSQL(SQL, REVERSE_SQL)]
