"""The catalogue of kinds, replaced write keys, limits of sources, minutes of sources, decisions about warnings."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0005_privacy_rules"),
        ("pghistory", "0007_auto_20250421_0444"),
    ]

    operations = [
        migrations.CreateModel(
            name="EventKind",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=200, unique=True, verbose_name="kind")),
                (
                    "description_en",
                    models.CharField(blank=True, max_length=500, verbose_name="description in English"),
                ),
                (
                    "description_zh",
                    models.CharField(blank=True, max_length=500, verbose_name="description in Chinese"),
                ),
                ("purpose", models.CharField(blank=True, max_length=300, verbose_name="purpose")),
                (
                    "retention_days",
                    models.PositiveIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(36500),
                        ],
                        verbose_name="kept for, days",
                    ),
                ),
                (
                    "stage",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "Not mapped"),
                            ("awareness", "Awareness"),
                            ("consideration", "Consideration"),
                            ("decision", "Decision"),
                            ("retention", "Retention"),
                            ("advocacy", "Advocacy"),
                        ],
                        default="",
                        max_length=16,
                        verbose_name="stage",
                    ),
                ),
                ("is_blocked", models.BooleanField(default=False, verbose_name="blocked")),
                (
                    "on_violation",
                    models.CharField(
                        choices=[
                            ("nothing", "Nothing"),
                            ("warn", "Store it and warn"),
                            ("refuse", "Refuse it"),
                        ],
                        default="nothing",
                        max_length=8,
                        verbose_name="when an event breaks the schema",
                    ),
                ),
                ("first_seen_on", models.DateField(blank=True, null=True, verbose_name="first seen")),
                ("last_seen_on", models.DateField(blank=True, null=True, verbose_name="last seen")),
                ("sampled", models.PositiveIntegerField(default=0, verbose_name="events looked at")),
                ("learned_at", models.DateTimeField(blank=True, null=True, verbose_name="looked at")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
            ],
            options={
                "verbose_name": "kind of event",
                "verbose_name_plural": "kinds of events",
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="EventKindEvent",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("name", models.CharField(max_length=200, verbose_name="kind")),
                (
                    "description_en",
                    models.CharField(blank=True, max_length=500, verbose_name="description in English"),
                ),
                (
                    "description_zh",
                    models.CharField(blank=True, max_length=500, verbose_name="description in Chinese"),
                ),
                ("purpose", models.CharField(blank=True, max_length=300, verbose_name="purpose")),
                (
                    "retention_days",
                    models.PositiveIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(36500),
                        ],
                        verbose_name="kept for, days",
                    ),
                ),
                (
                    "stage",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "Not mapped"),
                            ("awareness", "Awareness"),
                            ("consideration", "Consideration"),
                            ("decision", "Decision"),
                            ("retention", "Retention"),
                            ("advocacy", "Advocacy"),
                        ],
                        default="",
                        max_length=16,
                        verbose_name="stage",
                    ),
                ),
                ("is_blocked", models.BooleanField(default=False, verbose_name="blocked")),
                (
                    "on_violation",
                    models.CharField(
                        choices=[
                            ("nothing", "Nothing"),
                            ("warn", "Store it and warn"),
                            ("refuse", "Refuse it"),
                        ],
                        default="nothing",
                        max_length=8,
                        verbose_name="when an event breaks the schema",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="KindProperty",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=200, verbose_name="property")),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("", "Anything"),
                            ("string", "Text"),
                            ("number", "Number"),
                            ("integer", "Whole number"),
                            ("boolean", "Yes or no"),
                            ("time", "Date or time"),
                            ("array", "List"),
                            ("object", "Object"),
                        ],
                        default="",
                        max_length=10,
                        verbose_name="type",
                    ),
                ),
                ("is_required", models.BooleanField(default=False, verbose_name="required")),
                (
                    "allowed_values",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200),
                        blank=True,
                        default=list,
                        size=None,
                        verbose_name="allowed values",
                    ),
                ),
                ("description", models.CharField(blank=True, max_length=300, verbose_name="description")),
            ],
            options={
                "verbose_name": "property of a kind",
                "verbose_name_plural": "properties of kinds",
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="KindPropertyEvent",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("id", models.BigIntegerField()),
                ("name", models.CharField(max_length=200, verbose_name="property")),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("", "Anything"),
                            ("string", "Text"),
                            ("number", "Number"),
                            ("integer", "Whole number"),
                            ("boolean", "Yes or no"),
                            ("time", "Date or time"),
                            ("array", "List"),
                            ("object", "Object"),
                        ],
                        default="",
                        max_length=10,
                        verbose_name="type",
                    ),
                ),
                ("is_required", models.BooleanField(default=False, verbose_name="required")),
                (
                    "allowed_values",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200),
                        blank=True,
                        default=list,
                        size=None,
                        verbose_name="allowed values",
                    ),
                ),
                ("description", models.CharField(blank=True, max_length=300, verbose_name="description")),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="ObservedProperty",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=200, verbose_name="property")),
                ("filled", models.PositiveIntegerField(default=0, verbose_name="events with a value")),
                ("types", models.JSONField(default=dict, verbose_name="types")),
                (
                    "samples",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=80),
                        default=list,
                        size=None,
                        verbose_name="sample values",
                    ),
                ),
                ("first_seen_at", models.DateTimeField(verbose_name="first seen")),
                ("last_seen_at", models.DateTimeField(verbose_name="last seen")),
            ],
            options={
                "verbose_name": "observed property",
                "verbose_name_plural": "observed properties",
                "ordering": ("-filled", "name"),
            },
        ),
        migrations.CreateModel(
            name="RetiredKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("write_key", models.CharField(max_length=80, unique=True, verbose_name="write key")),
                ("retired_at", models.DateTimeField(verbose_name="replaced")),
                ("works_until", models.DateTimeField(verbose_name="works until")),
                ("revoked_at", models.DateTimeField(blank=True, null=True, verbose_name="revoked")),
                ("last_used_at", models.DateTimeField(blank=True, null=True, verbose_name="last used")),
            ],
            options={
                "verbose_name": "replaced write key",
                "verbose_name_plural": "replaced write keys",
                "ordering": ("-retired_at", "-id"),
            },
        ),
        migrations.CreateModel(
            name="SourceMinute",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("source_id", models.BigIntegerField()),
                ("minute", models.DateTimeField()),
                ("count", models.BigIntegerField()),
            ],
            options={
                "verbose_name": "minute of a source",
                "verbose_name_plural": "minutes of sources",
            },
        ),
        migrations.CreateModel(
            name="WarningDecision",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=40, verbose_name="code")),
                ("subject", models.CharField(blank=True, default="", max_length=200, verbose_name="about")),
                (
                    "state",
                    models.CharField(
                        choices=[("resolved", "Resolved"), ("muted", "Muted")],
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("quiet_until", models.DateTimeField(verbose_name="quiet until")),
                ("note", models.CharField(blank=True, max_length=300, verbose_name="note")),
                ("decided_at", models.DateTimeField(verbose_name="decided")),
                ("decided_by", models.CharField(max_length=80, verbose_name="decided by")),
            ],
            options={
                "verbose_name": "decision about a warning",
                "verbose_name_plural": "decisions about warnings",
            },
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="source",
            name="insert_insert",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="source",
            name="update_update",
        ),
        migrations.RemoveConstraint(
            model_name="ingestionwarning",
            name="crm_warning_unique",
        ),
        migrations.AddField(
            model_name="ingestionwarning",
            name="subject",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=200, verbose_name="about"
            ),
        ),
        migrations.AddField(
            model_name="source",
            name="burst_limit",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="burst, events"),
        ),
        migrations.AddField(
            model_name="source",
            name="rate_limit",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="events per second"),
        ),
        migrations.AddField(
            model_name="sourceevent",
            name="burst_limit",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="burst, events"),
        ),
        migrations.AddField(
            model_name="sourceevent",
            name="rate_limit",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="events per second"),
        ),
        migrations.AddField(
            model_name="touchpointtallydelta",
            name="received_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="source",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "crm_sourceevent" ("burst_limit", "created_at", "id", "is_active", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "rate_limit", "trust") VALUES (NEW."burst_limit", NEW."created_at", NEW."id", NEW."is_active", NEW."name", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."rate_limit", NEW."trust"); RETURN NULL;',
                    hash="98db34b995fd603c0a8614ffeda91c602f916e1c",
                    operation="INSERT",
                    pgid="pgtrigger_insert_insert_89961",
                    table="crm_source",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="source",
            trigger=pgtrigger.compiler.Trigger(
                name="update_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."burst_limit" IS DISTINCT FROM (NEW."burst_limit") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."is_active" IS DISTINCT FROM (NEW."is_active") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."rate_limit" IS DISTINCT FROM (NEW."rate_limit") OR OLD."trust" IS DISTINCT FROM (NEW."trust"))',
                    func='INSERT INTO "crm_sourceevent" ("burst_limit", "created_at", "id", "is_active", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "rate_limit", "trust") VALUES (NEW."burst_limit", NEW."created_at", NEW."id", NEW."is_active", NEW."name", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."rate_limit", NEW."trust"); RETURN NULL;',
                    hash="b9142e174f2808ff07a6a956370195ec0a54bda1",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_107f8",
                    table="crm_source",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="ingestionwarning",
            constraint=models.UniqueConstraint(
                fields=("source", "code", "subject", "seen_on"),
                name="crm_warning_per_day",
                nulls_distinct=False,
            ),
        ),
        migrations.AddField(
            model_name="eventkind",
            name="owner",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="owner",
            ),
        ),
        migrations.AddField(
            model_name="eventkindevent",
            name="owner",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="owner",
            ),
        ),
        migrations.AddField(
            model_name="eventkindevent",
            name="pgh_context",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="pghistory.context",
            ),
        ),
        migrations.AddField(
            model_name="eventkindevent",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="name_description_en_description_zh_owner_purpose_retention_days_stage_is_blocked_on_violation_events",
                to="crm.eventkind",
            ),
        ),
        migrations.AddField(
            model_name="kindproperty",
            name="kind",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="properties",
                to="crm.eventkind",
                verbose_name="kind",
            ),
        ),
        migrations.AddField(
            model_name="kindpropertyevent",
            name="kind",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="crm.eventkind",
                verbose_name="kind",
            ),
        ),
        migrations.AddField(
            model_name="kindpropertyevent",
            name="pgh_context",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="pghistory.context",
            ),
        ),
        migrations.AddField(
            model_name="kindpropertyevent",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="events",
                to="crm.kindproperty",
            ),
        ),
        migrations.AddField(
            model_name="observedproperty",
            name="kind",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="observed",
                to="crm.eventkind",
                verbose_name="kind",
            ),
        ),
        migrations.AddField(
            model_name="retiredkey",
            name="source",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="retired_keys",
                to="crm.source",
                verbose_name="source",
            ),
        ),
        migrations.AddConstraint(
            model_name="sourceminute",
            constraint=models.UniqueConstraint(
                fields=("source_id", "minute"), name="crm_sourceminute_unique"
            ),
        ),
        migrations.AddField(
            model_name="warningdecision",
            name="source",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.source",
                verbose_name="source",
            ),
        ),
        migrations.AddConstraint(
            model_name="eventkind",
            constraint=models.CheckConstraint(
                condition=models.Q(("on_violation__in", ["nothing", "warn", "refuse"])),
                name="crm_eventkind_on_violation",
            ),
        ),
        migrations.AddConstraint(
            model_name="eventkind",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("retention_days", None),
                    models.Q(("retention_days__gte", 1), ("retention_days__lte", 36500)),
                    _connector="OR",
                ),
                name="crm_eventkind_retention",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="eventkind",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "crm_eventkindevent" ("description_en", "description_zh", "is_blocked", "name", "on_violation", "owner_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "purpose", "retention_days", "stage") VALUES (NEW."description_en", NEW."description_zh", NEW."is_blocked", NEW."name", NEW."on_violation", NEW."owner_id", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."purpose", NEW."retention_days", NEW."stage"); RETURN NULL;',
                    hash="50a66f56e97188bddfd2cf475c870b7f72254419",
                    operation="INSERT",
                    pgid="pgtrigger_insert_insert_ae576",
                    table="crm_eventkind",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="eventkind",
            trigger=pgtrigger.compiler.Trigger(
                name="update_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."description_en" IS DISTINCT FROM (NEW."description_en") OR OLD."description_zh" IS DISTINCT FROM (NEW."description_zh") OR OLD."is_blocked" IS DISTINCT FROM (NEW."is_blocked") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."on_violation" IS DISTINCT FROM (NEW."on_violation") OR OLD."owner_id" IS DISTINCT FROM (NEW."owner_id") OR OLD."purpose" IS DISTINCT FROM (NEW."purpose") OR OLD."retention_days" IS DISTINCT FROM (NEW."retention_days") OR OLD."stage" IS DISTINCT FROM (NEW."stage"))',
                    func='INSERT INTO "crm_eventkindevent" ("description_en", "description_zh", "is_blocked", "name", "on_violation", "owner_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "purpose", "retention_days", "stage") VALUES (NEW."description_en", NEW."description_zh", NEW."is_blocked", NEW."name", NEW."on_violation", NEW."owner_id", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."purpose", NEW."retention_days", NEW."stage"); RETURN NULL;',
                    hash="07bb27b98919e41479740850cf17470074ac5706",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_7d9cd",
                    table="crm_eventkind",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="kindproperty",
            constraint=models.UniqueConstraint(fields=("kind", "name"), name="crm_kindproperty_unique"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="kindproperty",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "crm_kindpropertyevent" ("allowed_values", "description", "id", "is_required", "kind_id", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "type") VALUES (NEW."allowed_values", NEW."description", NEW."id", NEW."is_required", NEW."kind_id", NEW."name", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."type"); RETURN NULL;',
                    hash="8dfc7aa6132c799d09b040d429e0a67108d86f6e",
                    operation="INSERT",
                    pgid="pgtrigger_insert_insert_7cdf1",
                    table="crm_kindproperty",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="kindproperty",
            trigger=pgtrigger.compiler.Trigger(
                name="update_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.* IS DISTINCT FROM NEW.*)",
                    func='INSERT INTO "crm_kindpropertyevent" ("allowed_values", "description", "id", "is_required", "kind_id", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "type") VALUES (NEW."allowed_values", NEW."description", NEW."id", NEW."is_required", NEW."kind_id", NEW."name", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."type"); RETURN NULL;',
                    hash="98fe4606f016772f4c510b616aaf0fb8e781245b",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_f2d2a",
                    table="crm_kindproperty",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="kindproperty",
            trigger=pgtrigger.compiler.Trigger(
                name="delete_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "crm_kindpropertyevent" ("allowed_values", "description", "id", "is_required", "kind_id", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "type") VALUES (OLD."allowed_values", OLD."description", OLD."id", OLD."is_required", OLD."kind_id", OLD."name", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."type"); RETURN NULL;',
                    hash="53c7846682cebfea88de8693700a87cee62e1b14",
                    operation="DELETE",
                    pgid="pgtrigger_delete_delete_057d7",
                    table="crm_kindproperty",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="observedproperty",
            constraint=models.UniqueConstraint(fields=("kind", "name"), name="crm_observedproperty_unique"),
        ),
        migrations.AddConstraint(
            model_name="warningdecision",
            constraint=models.UniqueConstraint(
                fields=("source", "code", "subject"), name="crm_warningdecision_unique", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="warningdecision",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["resolved", "muted"])), name="crm_warningdecision_state"
            ),
        ),
    ]
