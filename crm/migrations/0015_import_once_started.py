"""A file whose dry run failed was never imported: it may be."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0014_import_notes"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="importrun",
            name="crm_import_once",
        ),
        migrations.AddConstraint(
            model_name="importrun",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("is_forced", False),
                    ("started_at__isnull", False),
                    ("status__in", ("running", "paused", "failed", "done")),
                    models.Q(("digest", ""), _negated=True),
                ),
                fields=("digest",),
                name="crm_import_once",
            ),
        ),
    ]
