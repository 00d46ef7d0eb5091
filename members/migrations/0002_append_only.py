"""The points ledger refuses UPDATE and DELETE in the database."""

from django.db import migrations

SQL = """
CREATE FUNCTION members_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER members_pointsentry_append_only BEFORE UPDATE OR DELETE ON members_pointsentry
    FOR EACH ROW EXECUTE FUNCTION members_refuse_change();
CREATE TRIGGER members_lotspend_append_only BEFORE UPDATE OR DELETE ON members_lotspend
    FOR EACH ROW EXECUTE FUNCTION members_refuse_change();
"""
REVERSE_SQL = """
DROP TRIGGER members_pointsentry_append_only ON members_pointsentry;
DROP TRIGGER members_lotspend_append_only ON members_lotspend;
DROP FUNCTION members_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("members", "0001_initial")]

    operations = [migrations.RunSQL(SQL, REVERSE_SQL)]
