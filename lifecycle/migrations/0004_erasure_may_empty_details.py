"""An erasure may empty the details of an enrolment's log; nothing else may change it."""

from django.db import migrations

SQL = """
CREATE FUNCTION lifecycle_refuse_change_but_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('renxin.erasing', true) = 'on'
       AND (to_jsonb(NEW) - 'detail') = (to_jsonb(OLD) - 'detail') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
DROP TRIGGER lifecycle_enrolmentevent_append_only ON lifecycle_enrolmentevent;
CREATE TRIGGER lifecycle_enrolmentevent_append_only BEFORE UPDATE OR DELETE ON lifecycle_enrolmentevent
    FOR EACH ROW EXECUTE FUNCTION lifecycle_refuse_change_but_erasure();
"""
REVERSE_SQL = """
DROP TRIGGER lifecycle_enrolmentevent_append_only ON lifecycle_enrolmentevent;
CREATE TRIGGER lifecycle_enrolmentevent_append_only BEFORE UPDATE OR DELETE ON lifecycle_enrolmentevent
    FOR EACH ROW EXECUTE FUNCTION lifecycle_refuse_change();
DROP FUNCTION lifecycle_refuse_change_but_erasure();
"""


class Migration(migrations.Migration):
    dependencies = [("lifecycle", "0003_pause_reason")]

    operations = [migrations.RunSQL(SQL, REVERSE_SQL)]
