"""The five tables of the kernel."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Knob",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=120, unique=True, verbose_name="name")),
                ("value", models.JSONField(verbose_name="value")),
                ("changed_at", models.DateTimeField(verbose_name="changed at")),
                ("changed_by", models.CharField(max_length=80, verbose_name="changed by")),
            ],
            options={
                "verbose_name": "knob",
                "verbose_name_plural": "knobs",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="ActionLog",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("actor", models.CharField(max_length=80, verbose_name="actor")),
                ("action", models.CharField(max_length=120, verbose_name="action")),
                ("object_kind", models.CharField(max_length=80, verbose_name="object")),
                ("object_id", models.CharField(max_length=64, verbose_name="object id")),
                ("fields", models.JSONField(default=list, verbose_name="changed fields")),
                ("at", models.DateTimeField(verbose_name="at")),
                ("position", models.BigIntegerField(null=True, unique=True, verbose_name="position")),
                ("seal", models.CharField(blank=True, max_length=64, verbose_name="seal")),
            ],
            options={
                "verbose_name": "action",
                "verbose_name_plural": "action log",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["object_kind", "object_id", "-id"], name="actionlog_object"),
                    models.Index(
                        models.F("id"), condition=models.Q(("position", None)), name="actionlog_unsealed"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="IdempotencyKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=255, verbose_name="key")),
                ("route", models.CharField(max_length=255, verbose_name="route")),
                ("actor", models.CharField(max_length=80, verbose_name="actor")),
                ("body_hash", models.CharField(max_length=64, verbose_name="body hash")),
                ("status", models.PositiveSmallIntegerField(verbose_name="status")),
                ("body", models.JSONField(null=True, verbose_name="body")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
            ],
            options={
                "verbose_name": "idempotency key",
                "verbose_name_plural": "idempotency keys",
                "indexes": [models.Index(models.F("created_at"), name="idempotency_age")],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("actor"), models.F("route"), models.F("key"), name="idempotency_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="JobSlot",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("job", models.CharField(max_length=120, verbose_name="job")),
                ("slot_start", models.DateTimeField(verbose_name="slot start")),
                ("claimed_at", models.DateTimeField(verbose_name="claimed at")),
            ],
            options={
                "verbose_name": "job slot",
                "verbose_name_plural": "job slots",
                "constraints": [
                    models.UniqueConstraint(models.F("job"), models.F("slot_start"), name="jobslot_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="PendingReaction",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("receiver", models.CharField(max_length=120, verbose_name="receiver")),
                (
                    "kind",
                    models.CharField(
                        blank=True,
                        help_text="Set for a published fact; empty for touchpoints.",
                        max_length=120,
                        verbose_name="kind",
                    ),
                ),
                (
                    "items",
                    models.JSONField(
                        help_text="Ids, or [profile, occurred at, touchpoint id] for each touchpoint.",
                        verbose_name="items",
                    ),
                ),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("run_at", models.DateTimeField(verbose_name="run at")),
                ("claims", models.PositiveSmallIntegerField(default=0, verbose_name="claims")),
                ("lease_until", models.DateTimeField(blank=True, null=True, verbose_name="leased until")),
                ("claim_token", models.UUIDField(blank=True, null=True, verbose_name="claim token")),
                ("parked_at", models.DateTimeField(blank=True, null=True, verbose_name="parked at")),
                ("last_error", models.TextField(blank=True, verbose_name="last error")),
            ],
            options={
                "verbose_name": "pending reaction",
                "verbose_name_plural": "pending reactions",
                "ordering": ["id"],
                "indexes": [
                    models.Index(
                        models.F("receiver"),
                        models.F("run_at"),
                        models.F("id"),
                        condition=models.Q(("parked_at", None)),
                        name="reaction_due",
                    ),
                    models.Index(
                        models.F("parked_at"),
                        condition=models.Q(("parked_at", None), _negated=True),
                        name="reaction_parked",
                    ),
                ],
            },
        ),
    ]
