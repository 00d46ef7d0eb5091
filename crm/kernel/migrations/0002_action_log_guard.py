"""The action log is insert-only: PostgreSQL itself refuses other changes."""

from django.db import migrations

GUARD = """
CREATE FUNCTION kernel_actionlog_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.position IS NULL AND OLD.seal = ''
       AND (NEW.id, NEW.actor, NEW.action, NEW.object_kind, NEW.object_id, NEW.fields, NEW.at)
         = (OLD.id, OLD.actor, OLD.action, OLD.object_kind, OLD.object_id, OLD.fields, OLD.at) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the action log is insert-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER kernel_actionlog_guard BEFORE UPDATE OR DELETE ON kernel_actionlog
    FOR EACH ROW EXECUTE FUNCTION kernel_actionlog_guard();
"""
UNGUARD = """
DROP TRIGGER kernel_actionlog_guard ON kernel_actionlog;
DROP FUNCTION kernel_actionlog_guard();
"""


class Migration(migrations.Migration):
    """Trigger that lets the sealer fill position and seal once, and nothing else."""

    dependencies = [("kernel", "0001_initial")]
    operations = [migrations.RunSQL(GUARD, UNGUARD)]
