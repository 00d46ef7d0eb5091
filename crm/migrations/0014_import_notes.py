"""Notes of a dry run: digests of identifiers and who they would go to. Unlogged: worth nothing after a crash."""

from django.db import migrations

SQL = """
CREATE UNLOGGED TABLE crm_importseen (
    run_id bigint NOT NULL,
    key uuid NOT NULL,
    owner bigint NOT NULL,
    PRIMARY KEY (run_id, key)
);
"""


class Migration(migrations.Migration):
    dependencies = [("crm", "0013_run_settings")]

    operations = [migrations.RunSQL(SQL, "DROP TABLE crm_importseen")]
