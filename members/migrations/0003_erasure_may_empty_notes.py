"""An erasure may take a person's values out of the notes of the ledger; nothing else may change it."""

from django.db import migrations

SQL = """
CREATE FUNCTION members_refuse_change_but_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('renxin.erasing', true) = 'on'
       AND (to_jsonb(NEW) - 'note') = (to_jsonb(OLD) - 'note') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
DROP TRIGGER members_pointsentry_append_only ON members_pointsentry;
CREATE TRIGGER members_pointsentry_append_only BEFORE UPDATE OR DELETE ON members_pointsentry
    FOR EACH ROW EXECUTE FUNCTION members_refuse_change_but_erasure();
"""
REVERSE_SQL = """
DROP TRIGGER members_pointsentry_append_only ON members_pointsentry;
CREATE TRIGGER members_pointsentry_append_only BEFORE UPDATE OR DELETE ON members_pointsentry
    FOR EACH ROW EXECUTE FUNCTION members_refuse_change();
DROP FUNCTION members_refuse_change_but_erasure();
"""


class Migration(migrations.Migration):
    dependencies = [("members", "0002_append_only")]

    operations = [migrations.RunSQL(SQL, REVERSE_SQL)]
