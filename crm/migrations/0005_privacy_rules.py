"""Consent texts are append-only; evidence of a consent may be emptied by an erasure and changed by nothing else.

The first version of each text holds the words of the preference page that people agreed to before.
"""

from django.db import migrations
from django.utils import timezone

TRIGGERS_SQL = """
CREATE TRIGGER crm_consenttext_append_only BEFORE UPDATE OR DELETE ON crm_consenttext
    FOR EACH ROW EXECUTE FUNCTION crm_refuse_change();
CREATE FUNCTION crm_refuse_consent_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        -- Only the erasure of this person may empty the evidence, and it may change nothing else.
        IF NEW.evidence = '{}'::jsonb
           AND (to_jsonb(NEW) - 'evidence') = (to_jsonb(OLD) - 'evidence')
           AND EXISTS (SELECT 1 FROM crm_profile p WHERE p.id = OLD.profile_id AND p.erased_at IS NOT NULL) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
DROP TRIGGER crm_consentrecord_append_only ON crm_consentrecord;
CREATE TRIGGER crm_consentrecord_append_only BEFORE UPDATE OR DELETE ON crm_consentrecord
    FOR EACH ROW EXECUTE FUNCTION crm_refuse_consent_change();
"""
TRIGGERS_REVERSE_SQL = """
DROP TRIGGER crm_consenttext_append_only ON crm_consenttext;
DROP TRIGGER crm_consentrecord_append_only ON crm_consentrecord;
CREATE TRIGGER crm_consentrecord_append_only BEFORE UPDATE OR DELETE ON crm_consentrecord
    FOR EACH ROW EXECUTE FUNCTION crm_refuse_change();
DROP FUNCTION crm_refuse_consent_change();
"""


def add_texts(apps, schema_editor):
    """Version 1 of each purpose."""
    from crm.consent_texts import TEXTS

    ConsentText = apps.get_model("crm", "ConsentText")
    ConsentText.objects.bulk_create(
        ConsentText(
            purpose=purpose,
            version=1,
            text_en=english,
            text_zh_hans=chinese,
            valid_from=timezone.now(),
            created_by="system:installation",
        )
        for purpose, (english, chinese) in TEXTS.items()
    )


class Migration(migrations.Migration):
    dependencies = [("crm", "0004_privacy")]

    operations = [
        migrations.RunPython(add_texts, migrations.RunPython.noop),
        migrations.RunSQL(TRIGGERS_SQL, TRIGGERS_REVERSE_SQL),
    ]
