"""The words by which the people search finds an address, computed by the database for every writer alike.

An e-mail address gives its local part, the parts of that, its domain and the first label of it; a phone number its
last four to eight digits. The index holds the words; no column does.
"""

from django.db import migrations

FUNCTION_SQL = """
CREATE FUNCTION crm_address_words(channel text, value text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE WHEN channel = 'sms' THEN
              ARRAY[right(value, 4), right(value, 5), right(value, 6), right(value, 7), right(value, 8)]
         ELSE ARRAY[split_part(value, '@', 1), '@' || split_part(value, '@', 2),
                    '@' || split_part(split_part(value, '@', 2), '.', 1)]
              || string_to_array(translate(split_part(value, '@', 1), '_+-', '...'), '.')
    END
"""
INDEX_SQL = """
CREATE INDEX CONCURRENTLY crm_contactpoint_words ON crm_contactpoint
 USING gin (crm_address_words(channel::text, value::text)) WHERE channel IN ('email', 'sms')
"""


class Migration(migrations.Migration):
    atomic = False  # the index is built beside the writers
    dependencies = [("crm", "0009_people_accounts_notes")]

    operations = [
        migrations.RunSQL(FUNCTION_SQL, "DROP FUNCTION crm_address_words"),
        migrations.RunSQL(INDEX_SQL, "DROP INDEX crm_contactpoint_words"),
    ]
