"""Consent records refuse UPDATE and DELETE in the database; the shipped identity rules become rows."""

from django.db import migrations

APPEND_ONLY_SQL = """
CREATE FUNCTION crm_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER crm_consentrecord_append_only BEFORE UPDATE OR DELETE ON crm_consentrecord
    FOR EACH ROW EXECUTE FUNCTION crm_refuse_change();
"""
APPEND_ONLY_REVERSE_SQL = """
DROP TRIGGER crm_consentrecord_append_only ON crm_consentrecord;
DROP FUNCTION crm_refuse_change();
"""


def add_rules(apps, schema_editor):
    """Rows for staff to change. The service knows the same defaults, so an empty table changes nothing."""
    from crm.rules import DEFAULTS

    IdentityRule = apps.get_model("crm", "IdentityRule")
    for rule in DEFAULTS:
        IdentityRule.objects.get_or_create(
            kind=rule.kind,
            defaults={
                "priority": rule.priority,
                "limit": rule.limit,
                "blocked_values": list(rule.blocked_values),
                "blocked_patterns": list(rule.blocked_patterns),
                "names_person": rule.names_person,
            },
        )


class Migration(migrations.Migration):
    dependencies = [("crm", "0002_touchpoint_partitions")]

    operations = [
        migrations.RunSQL(APPEND_ONLY_SQL, APPEND_ONLY_REVERSE_SQL),
        migrations.RunPython(add_rules, migrations.RunPython.noop),
    ]
