"""The log of each enrolment refuses UPDATE and DELETE in the database."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION lifecycle_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER lifecycle_enrolmentevent_append_only BEFORE UPDATE OR DELETE ON lifecycle_enrolmentevent
    FOR EACH ROW EXECUTE FUNCTION lifecycle_refuse_change();
"""
BACKWARD = """
DROP TRIGGER lifecycle_enrolmentevent_append_only ON lifecycle_enrolmentevent;
DROP FUNCTION lifecycle_refuse_change();
"""


class Migration(migrations.Migration):
    """Triggers, apart from the tables."""

    dependencies = [("lifecycle", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
