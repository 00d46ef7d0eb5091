"""The two partitioned tables: touchpoints by month of occurred_at, event receipts by hash of their digest.

Months are made on demand by services.partitions; the months around the day of installation are made here.
There is no default partition: a row outside every month is an error, never a pile of strays.
"""

from django.db import migrations, models

TOUCHPOINT_SQL = """
CREATE TABLE crm_touchpoint (
    profile_id bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    kind text NOT NULL,
    channel text NOT NULL DEFAULT '',
    source_id bigint,
    stage text NOT NULL DEFAULT '',
    properties jsonb NOT NULL DEFAULT '{}',
    context jsonb,
    PRIMARY KEY (profile_id, occurred_at, id)
) PARTITION BY RANGE (occurred_at);
"""

# Eight partitions: enough to spread the page locks of a random key over several B-trees.
RECEIPT_SQL = """
CREATE TABLE crm_eventreceipt (
    digest uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    PRIMARY KEY (digest)
) PARTITION BY HASH (digest);
""" + "\n".join(
    f"CREATE TABLE crm_eventreceipt_p{n} PARTITION OF crm_eventreceipt"
    f" FOR VALUES WITH (MODULUS 8, REMAINDER {n});"
    for n in range(8)
)

MONTHS_SQL = """
DO $$
DECLARE
    month date := date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month';
BEGIN
    FOR step IN 0..2 LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF crm_touchpoint FOR VALUES FROM (%L) TO (%L)',
            'crm_touchpoint_' || to_char(month, '"y"YYYY"m"MM'),
            to_char(month, 'YYYY-MM-DD') || ' 00:00:00+00',
            to_char(month + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00');
        month := month + interval '1 month';
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("crm", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(TOUCHPOINT_SQL, "DROP TABLE crm_touchpoint"),
                migrations.RunSQL(RECEIPT_SQL, "DROP TABLE crm_eventreceipt"),
                migrations.RunSQL(MONTHS_SQL, migrations.RunSQL.noop),
            ],
            state_operations=[
                migrations.CreateModel(
                    name="Touchpoint",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "profile_id",
                                "occurred_at",
                                "id",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("profile_id", models.BigIntegerField()),
                        ("occurred_at", models.DateTimeField()),
                        ("id", models.UUIDField()),
                        ("received_at", models.DateTimeField()),
                        ("kind", models.TextField()),
                        ("channel", models.TextField(db_default="")),
                        ("source_id", models.BigIntegerField(null=True)),
                        ("stage", models.TextField(db_default="")),
                        ("properties", models.JSONField(db_default={})),
                        ("context", models.JSONField(null=True)),
                    ],
                    options={
                        "verbose_name": "touchpoint",
                        "verbose_name_plural": "touchpoints",
                        "db_table": "crm_touchpoint",
                    },
                ),
                migrations.CreateModel(
                    name="EventReceipt",
                    fields=[
                        ("digest", models.UUIDField(primary_key=True, serialize=False)),
                        ("occurred_at", models.DateTimeField()),
                    ],
                    options={
                        "verbose_name": "event receipt",
                        "verbose_name_plural": "event receipts",
                        "db_table": "crm_eventreceipt",
                    },
                ),
            ],
        ),
    ]
