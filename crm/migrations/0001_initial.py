"""Tables of crm as Django describes them; partitioned tables and triggers follow in 0002 and 0003."""

import django.contrib.auth.models
import django.contrib.auth.validators
import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
import pgtrigger.compiler
import pgtrigger.migrations
from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations, models

import crm.models.functions


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("pghistory", "0007_auto_20250421_0444"),
    ]

    operations = [
        TrigramExtension(),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=120, verbose_name="name")),
                ("prefix", models.CharField(max_length=16, unique=True, verbose_name="prefix")),
                ("secret_hash", models.CharField(max_length=64, verbose_name="secret hash")),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=80),
                        blank=True,
                        default=list,
                        size=None,
                        verbose_name="scopes",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
                ("revoked_at", models.DateTimeField(blank=True, null=True, verbose_name="revoked")),
                ("last_used_at", models.DateTimeField(blank=True, null=True, verbose_name="last used")),
            ],
            options={
                "verbose_name": "API key",
                "verbose_name_plural": "API keys",
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="ConsentRecord",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("marketing", "Marketing"),
                            ("service", "Service"),
                            ("care", "Care"),
                            ("survey", "Surveys"),
                        ],
                        max_length=12,
                        verbose_name="purpose",
                    ),
                ),
                (
                    "channel",
                    models.CharField(
                        choices=[
                            ("email", "E-mail"),
                            ("sms", "Text message"),
                            ("in_app", "In-app inbox"),
                            ("wechat", "WeChat"),
                        ],
                        max_length=12,
                        verbose_name="channel",
                    ),
                ),
                ("granted", models.BooleanField(verbose_name="granted")),
                (
                    "way",
                    models.CharField(
                        choices=[
                            ("form", "Form"),
                            ("api", "API"),
                            ("staff", "Staff"),
                            ("import", "Import"),
                            ("unsubscribe", "Unsubscribe link"),
                            ("preferences", "Preference page"),
                            ("confirmation", "Confirmation link"),
                        ],
                        max_length=16,
                        verbose_name="way",
                    ),
                ),
                (
                    "text_version",
                    models.CharField(blank=True, default="", max_length=80, verbose_name="text version"),
                ),
                ("evidence", models.JSONField(blank=True, default=dict, verbose_name="evidence")),
                ("actor", models.CharField(max_length=80, verbose_name="actor")),
                ("occurred_at", models.DateTimeField(verbose_name="when")),
            ],
            options={
                "verbose_name": "consent record",
                "verbose_name_plural": "consent records",
            },
        ),
        migrations.CreateModel(
            name="ContactPoint",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "channel",
                    models.CharField(
                        choices=[
                            ("email", "E-mail"),
                            ("sms", "Text message"),
                            ("in_app", "In-app inbox"),
                            ("wechat", "WeChat"),
                        ],
                        max_length=12,
                        verbose_name="channel",
                    ),
                ),
                ("value", models.CharField(max_length=320, verbose_name="address")),
                ("value_hash", models.CharField(max_length=64, verbose_name="address hash")),
                (
                    "origin",
                    models.CharField(
                        choices=[
                            ("server", "Own system"),
                            ("staff", "Staff"),
                            ("import", "Import without evidence"),
                            ("import_with_evidence", "Import with consent evidence"),
                            ("browser", "Browser"),
                            ("form", "Form"),
                        ],
                        max_length=24,
                        verbose_name="origin",
                    ),
                ),
                ("verified_at", models.DateTimeField(blank=True, null=True, verbose_name="verified")),
                ("is_primary", models.BooleanField(default=False, verbose_name="primary")),
                ("bounced_at", models.DateTimeField(blank=True, null=True, verbose_name="bounced")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
            ],
            options={
                "verbose_name": "contact point",
                "verbose_name_plural": "contact points",
            },
        ),
        migrations.CreateModel(
            name="Identity",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=60, verbose_name="kind")),
                ("value", models.CharField(max_length=255, verbose_name="value")),
                ("verified_at", models.DateTimeField(blank=True, null=True, verbose_name="verified")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
            ],
            options={
                "verbose_name": "identity",
                "verbose_name_plural": "identities",
            },
        ),
        migrations.CreateModel(
            name="IdentityRuleEvent",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("id", models.BigIntegerField()),
                ("kind", models.CharField(max_length=60, verbose_name="kind")),
                (
                    "priority",
                    models.PositiveSmallIntegerField(
                        help_text="1 is the strongest. When a limit would break, the weakest identifier is left out.",
                        verbose_name="priority",
                    ),
                ),
                (
                    "limit",
                    models.PositiveSmallIntegerField(
                        help_text="How many identifiers of this kind one person may have.",
                        verbose_name="limit",
                    ),
                ),
                (
                    "blocked_values",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=255),
                        blank=True,
                        default=list,
                        help_text="Compared without regard to case.",
                        size=None,
                        verbose_name="blocked values",
                    ),
                ),
                (
                    "blocked_patterns",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=255),
                        blank=True,
                        default=list,
                        help_text="Regular expressions that must match the whole value.",
                        size=None,
                        verbose_name="blocked patterns",
                    ),
                ),
                (
                    "names_person",
                    models.BooleanField(
                        default=True,
                        help_text="Off for identifiers of a device: a profile with only such identifiers is anonymous.",
                        verbose_name="names a person",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="IngestionWarning",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=40, verbose_name="code")),
                ("seen_on", models.DateField(verbose_name="day")),
                ("count", models.BigIntegerField(default=0, verbose_name="count")),
                ("sample", models.JSONField(blank=True, default=dict, verbose_name="sample")),
                ("first_seen_at", models.DateTimeField(verbose_name="first seen")),
                ("last_seen_at", models.DateTimeField(verbose_name="last seen")),
            ],
            options={
                "verbose_name": "ingestion warning",
                "verbose_name_plural": "ingestion warnings",
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="MergeRecord",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "cause",
                    models.CharField(
                        choices=[
                            ("automatic", "Automatic (shared identifier)"),
                            ("staff", "Staff"),
                            ("api", "API"),
                        ],
                        max_length=12,
                        verbose_name="cause",
                    ),
                ),
                (
                    "changes",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text="Values the kept profile took over, with what they replaced.",
                        verbose_name="changes",
                    ),
                ),
                ("actor", models.CharField(max_length=80, verbose_name="actor")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
                ("undone_at", models.DateTimeField(blank=True, null=True, verbose_name="undone")),
                (
                    "undone_by",
                    models.CharField(blank=True, default="", max_length=80, verbose_name="undone by"),
                ),
            ],
            options={
                "verbose_name": "merge",
                "verbose_name_plural": "merges",
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="MergeSuggestion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("reason", models.CharField(max_length=80, verbose_name="reason")),
                (
                    "status",
                    models.CharField(
                        choices=[("open", "Open"), ("merged", "Merged"), ("dismissed", "Dismissed")],
                        default="open",
                        max_length=12,
                        verbose_name="status",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
                ("decided_at", models.DateTimeField(blank=True, null=True, verbose_name="decided")),
            ],
            options={
                "verbose_name": "merge suggestion",
                "verbose_name_plural": "merge suggestions",
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="PressureEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("occurred_at", models.DateTimeField(verbose_name="when")),
                ("weight", models.PositiveSmallIntegerField(verbose_name="weight")),
                (
                    "message_class",
                    models.CharField(
                        choices=[
                            ("transactional", "Transactional"),
                            ("service", "Service"),
                            ("care", "Care"),
                            ("marketing", "Marketing"),
                        ],
                        max_length=16,
                        verbose_name="class",
                    ),
                ),
                ("cause", models.CharField(max_length=120, verbose_name="cause")),
            ],
            options={
                "verbose_name": "pressure entry",
                "verbose_name_plural": "pressure entries",
            },
        ),
        migrations.CreateModel(
            name="Profile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "public_id",
                    models.UUIDField(
                        db_default=crm.models.functions.UUIDv7(),
                        editable=False,
                        unique=True,
                        verbose_name="public ID",
                    ),
                ),
                (
                    "display_name",
                    models.CharField(
                        blank=True, db_default="", default="", max_length=200, verbose_name="name"
                    ),
                ),
                (
                    "family_name",
                    models.CharField(
                        blank=True, db_default="", default="", max_length=100, verbose_name="family name"
                    ),
                ),
                (
                    "given_name",
                    models.CharField(
                        blank=True, db_default="", default="", max_length=100, verbose_name="given name"
                    ),
                ),
                (
                    "name_sort",
                    models.CharField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="Names sort by this key: pinyin for Chinese names.",
                        max_length=200,
                        verbose_name="sort key",
                    ),
                ),
                (
                    "search_tokens",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(),
                        blank=True,
                        db_default=[],
                        default=list,
                        size=None,
                        verbose_name="search tokens",
                    ),
                ),
                (
                    "language",
                    models.CharField(
                        blank=True,
                        choices=[("", "Unknown"), ("en", "English"), ("zh-hans", "Simplified Chinese")],
                        db_default="",
                        default="",
                        max_length=12,
                        verbose_name="language",
                    ),
                ),
                (
                    "time_zone",
                    models.CharField(
                        blank=True, db_default="", default="", max_length=64, verbose_name="time zone"
                    ),
                ),
                ("birthday", models.DateField(blank=True, null=True, verbose_name="birthday")),
                (
                    "birthday_is_lunar",
                    models.BooleanField(db_default=False, default=False, verbose_name="lunar birthday"),
                ),
                (
                    "country",
                    models.CharField(
                        blank=True, db_default="", default="", max_length=2, verbose_name="country"
                    ),
                ),
                (
                    "region",
                    models.CharField(
                        blank=True, db_default="", default="", max_length=80, verbose_name="region"
                    ),
                ),
                ("traits", models.JSONField(blank=True, db_default={}, default=dict, verbose_name="traits")),
                (
                    "value_sources",
                    models.JSONField(
                        blank=True,
                        db_default={},
                        default=dict,
                        help_text="For each value: which source gave it, and when.",
                        verbose_name="value sources",
                    ),
                ),
                ("first_seen_at", models.DateTimeField(blank=True, null=True, verbose_name="first seen")),
                ("last_seen_at", models.DateTimeField(blank=True, null=True, verbose_name="last seen")),
                ("erased_at", models.DateTimeField(blank=True, null=True, verbose_name="erased")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
            ],
            options={
                "verbose_name": "profile",
                "verbose_name_plural": "profiles",
                "ordering": ("-id",),
                "permissions": (
                    ("merge_profile", "Can merge profiles and undo merges"),
                    ("erase_profile", "Can erase a person's data"),
                ),
            },
        ),
        migrations.CreateModel(
            name="Source",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=120, unique=True, verbose_name="name")),
                (
                    "trust",
                    models.CharField(
                        choices=[("server", "Server (secret key)"), ("browser", "Browser (public key)")],
                        default="server",
                        max_length=12,
                        verbose_name="trust",
                    ),
                ),
                ("write_key", models.CharField(max_length=80, unique=True, verbose_name="write key")),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
            ],
            options={
                "verbose_name": "source",
                "verbose_name_plural": "sources",
                "ordering": ("name",),
                "permissions": (("view_write_key", "Can read write keys"),),
            },
        ),
        migrations.CreateModel(
            name="SourceEvent",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("id", models.BigIntegerField()),
                ("name", models.CharField(max_length=120, verbose_name="name")),
                (
                    "trust",
                    models.CharField(
                        choices=[("server", "Server (secret key)"), ("browser", "Browser (public key)")],
                        default="server",
                        max_length=12,
                        verbose_name="trust",
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Suppression",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "channel",
                    models.CharField(
                        choices=[
                            ("email", "E-mail"),
                            ("sms", "Text message"),
                            ("in_app", "In-app inbox"),
                            ("wechat", "WeChat"),
                        ],
                        max_length=12,
                        verbose_name="channel",
                    ),
                ),
                ("value_hash", models.CharField(max_length=64, verbose_name="address hash")),
                (
                    "purpose",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("marketing", "Marketing"),
                            ("service", "Service"),
                            ("care", "Care"),
                            ("survey", "Surveys"),
                        ],
                        default="",
                        max_length=12,
                        verbose_name="purpose",
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("unsubscribed", "Unsubscribed"),
                            ("bounced", "Bounced"),
                            ("complained", "Complained"),
                            ("erased", "Erased"),
                            ("staff", "Set by staff"),
                        ],
                        max_length=16,
                        verbose_name="reason",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
            ],
            options={
                "verbose_name": "suppression",
                "verbose_name_plural": "suppressions",
            },
        ),
        migrations.CreateModel(
            name="TouchpointTally",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("received_on", models.DateField(verbose_name="day")),
                ("source_id", models.BigIntegerField(default=0, verbose_name="source")),
                ("kind", models.TextField(verbose_name="kind")),
                ("count", models.BigIntegerField(verbose_name="count")),
            ],
            options={
                "verbose_name": "touchpoint tally",
                "verbose_name_plural": "touchpoint tallies",
            },
        ),
        migrations.CreateModel(
            name="TouchpointTallyDelta",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("received_on", models.DateField()),
                ("source_id", models.BigIntegerField(default=0)),
                ("kind", models.TextField()),
                ("count", models.IntegerField()),
            ],
            options={
                "verbose_name": "touchpoint tally delta",
                "verbose_name_plural": "touchpoint tally deltas",
            },
        ),
        migrations.CreateModel(
            name="StaffUser",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                (
                    "username",
                    models.CharField(
                        error_messages={"unique": "A user with that username already exists."},
                        help_text="Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.",
                        max_length=150,
                        unique=True,
                        validators=[django.contrib.auth.validators.UnicodeUsernameValidator()],
                        verbose_name="username",
                    ),
                ),
                ("first_name", models.CharField(blank=True, max_length=150, verbose_name="first name")),
                ("last_name", models.CharField(blank=True, max_length=150, verbose_name="last name")),
                ("email", models.EmailField(blank=True, max_length=254, verbose_name="email address")),
                (
                    "is_staff",
                    models.BooleanField(
                        default=False,
                        help_text="Designates whether the user can log into this admin site.",
                        verbose_name="staff status",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        help_text="Designates whether this user should be treated as active. Unselect this instead of deleting accounts.",
                        verbose_name="active",
                    ),
                ),
                (
                    "date_joined",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="date joined"),
                ),
                (
                    "language",
                    models.CharField(
                        blank=True,
                        choices=[("", "Unknown"), ("en", "English"), ("zh-hans", "Simplified Chinese")],
                        default="",
                        max_length=12,
                        verbose_name="language",
                    ),
                ),
                (
                    "time_zone",
                    models.CharField(blank=True, default="", max_length=64, verbose_name="time zone"),
                ),
                ("team", models.CharField(blank=True, default="", max_length=80, verbose_name="team")),
                (
                    "groups",
                    models.ManyToManyField(
                        blank=True,
                        help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                (
                    "user_permissions",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
            ],
            options={
                "verbose_name": "staff user",
                "verbose_name_plural": "staff users",
                "abstract": False,
            },
            managers=[
                ("objects", django.contrib.auth.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name="IdentityRule",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=60, unique=True, verbose_name="kind")),
                (
                    "priority",
                    models.PositiveSmallIntegerField(
                        help_text="1 is the strongest. When a limit would break, the weakest identifier is left out.",
                        verbose_name="priority",
                    ),
                ),
                (
                    "limit",
                    models.PositiveSmallIntegerField(
                        help_text="How many identifiers of this kind one person may have.",
                        verbose_name="limit",
                    ),
                ),
                (
                    "blocked_values",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=255),
                        blank=True,
                        default=list,
                        help_text="Compared without regard to case.",
                        size=None,
                        verbose_name="blocked values",
                    ),
                ),
                (
                    "blocked_patterns",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=255),
                        blank=True,
                        default=list,
                        help_text="Regular expressions that must match the whole value.",
                        size=None,
                        verbose_name="blocked patterns",
                    ),
                ),
                (
                    "names_person",
                    models.BooleanField(
                        default=True,
                        help_text="Off for identifiers of a device: a profile with only such identifiers is anonymous.",
                        verbose_name="names a person",
                    ),
                ),
            ],
            options={
                "verbose_name": "identity rule",
                "verbose_name_plural": "identity rules",
                "ordering": ("priority", "kind"),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("limit__gte", 1)), name="crm_identityrule_limit"
                    )
                ],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="identityrule",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "crm_identityruleevent" ("blocked_patterns", "blocked_values", "id", "kind", "limit", "names_person", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "priority") VALUES (NEW."blocked_patterns", NEW."blocked_values", NEW."id", NEW."kind", NEW."limit", NEW."names_person", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."priority"); RETURN NULL;',
                    hash="c19e2e655ee6832b257ca7b3107b29c98c10f28b",
                    operation="INSERT",
                    pgid="pgtrigger_insert_insert_8bc0e",
                    table="crm_identityrule",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="identityrule",
            trigger=pgtrigger.compiler.Trigger(
                name="update_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.* IS DISTINCT FROM NEW.*)",
                    func='INSERT INTO "crm_identityruleevent" ("blocked_patterns", "blocked_values", "id", "kind", "limit", "names_person", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "priority") VALUES (NEW."blocked_patterns", NEW."blocked_values", NEW."id", NEW."kind", NEW."limit", NEW."names_person", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."priority"); RETURN NULL;',
                    hash="068c60522687aa48263276346b0c14eb9aa67940",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_11ddb",
                    table="crm_identityrule",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="identityruleevent",
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
            model_name="identityruleevent",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="events",
                to="crm.identityrule",
            ),
        ),
        migrations.AddField(
            model_name="profile",
            name="merged_into",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.profile",
                verbose_name="merged into",
            ),
        ),
        migrations.AddField(
            model_name="pressureentry",
            name="profile",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.profile",
                verbose_name="profile",
            ),
        ),
        migrations.AddField(
            model_name="mergesuggestion",
            name="first",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.profile",
                verbose_name="first profile",
            ),
        ),
        migrations.AddField(
            model_name="mergesuggestion",
            name="second",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.profile",
                verbose_name="second profile",
            ),
        ),
        migrations.AddField(
            model_name="mergerecord",
            name="loser",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.profile",
                verbose_name="merged profile",
            ),
        ),
        migrations.AddField(
            model_name="mergerecord",
            name="winner",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.profile",
                verbose_name="kept profile",
            ),
        ),
        migrations.AddField(
            model_name="identity",
            name="profile",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.profile",
                verbose_name="profile",
            ),
        ),
        migrations.AddField(
            model_name="contactpoint",
            name="profile",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.profile",
                verbose_name="profile",
            ),
        ),
        migrations.AddField(
            model_name="consentrecord",
            name="profile",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.profile",
                verbose_name="profile",
            ),
        ),
        migrations.AddConstraint(
            model_name="source",
            constraint=models.CheckConstraint(
                condition=models.Q(("trust__in", ["server", "browser"])), name="crm_source_trust"
            ),
        ),
        migrations.AddField(
            model_name="mergesuggestion",
            name="source",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.source",
                verbose_name="source",
            ),
        ),
        migrations.AddField(
            model_name="ingestionwarning",
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
        migrations.AddField(
            model_name="identity",
            name="source",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.source",
                verbose_name="source",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="source",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "crm_sourceevent" ("created_at", "id", "is_active", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "trust") VALUES (NEW."created_at", NEW."id", NEW."is_active", NEW."name", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."trust"); RETURN NULL;',
                    hash="d88b05e7ea2ab9f2459991f1d6436eff0851e168",
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
                    condition='WHEN (OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."is_active" IS DISTINCT FROM (NEW."is_active") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."trust" IS DISTINCT FROM (NEW."trust"))',
                    func='INSERT INTO "crm_sourceevent" ("created_at", "id", "is_active", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "trust") VALUES (NEW."created_at", NEW."id", NEW."is_active", NEW."name", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."trust"); RETURN NULL;',
                    hash="7d7027f3cd2deda14f43a3e134436e74821c43d9",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_107f8",
                    table="crm_source",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="sourceevent",
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
            model_name="sourceevent",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="events",
                to="crm.source",
            ),
        ),
        migrations.AddConstraint(
            model_name="suppression",
            constraint=models.UniqueConstraint(
                fields=("channel", "value_hash", "purpose"), name="crm_suppression_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="touchpointtally",
            constraint=models.UniqueConstraint(
                fields=("received_on", "source_id", "kind"), name="crm_tally_unique"
            ),
        ),
        migrations.AddIndex(
            model_name="profile",
            index=models.Index(
                condition=models.Q(("merged_into__isnull", False)),
                fields=["merged_into"],
                name="crm_profile_merged",
            ),
        ),
        migrations.AddIndex(
            model_name="profile",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["search_tokens"], name="crm_profile_search"
            ),
        ),
        migrations.AddConstraint(
            model_name="profile",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("merged_into__isnull", True),
                    models.Q(("merged_into", models.F("id")), _negated=True),
                    _connector="OR",
                ),
                name="crm_profile_not_own_root",
            ),
        ),
        migrations.AddIndex(
            model_name="pressureentry",
            index=models.Index(fields=["profile", "occurred_at"], name="crm_pressure_window"),
        ),
        migrations.AddConstraint(
            model_name="pressureentry",
            constraint=models.UniqueConstraint(fields=("cause", "profile"), name="crm_pressure_cause"),
        ),
        migrations.AddConstraint(
            model_name="mergerecord",
            constraint=models.UniqueConstraint(
                condition=models.Q(("undone_at__isnull", True)),
                fields=("loser",),
                name="crm_mergerecord_active_loser",
            ),
        ),
        migrations.AddConstraint(
            model_name="mergerecord",
            constraint=models.CheckConstraint(
                condition=models.Q(("winner", models.F("loser")), _negated=True),
                name="crm_mergerecord_not_self",
            ),
        ),
        migrations.AddIndex(
            model_name="contactpoint",
            index=models.Index(fields=["channel", "value_hash"], name="crm_contactpoint_hash"),
        ),
        migrations.AddConstraint(
            model_name="contactpoint",
            constraint=models.UniqueConstraint(
                fields=("profile", "channel", "value"), name="crm_contactpoint_unique"
            ),
        ),
        migrations.AddIndex(
            model_name="consentrecord",
            index=models.Index(
                fields=["profile", "purpose", "channel", "-occurred_at", "-id"], name="crm_consent_latest"
            ),
        ),
        migrations.AddConstraint(
            model_name="mergesuggestion",
            constraint=models.UniqueConstraint(fields=("first", "second"), name="crm_mergesuggestion_pair"),
        ),
        migrations.AddConstraint(
            model_name="mergesuggestion",
            constraint=models.CheckConstraint(
                condition=models.Q(("first__lt", models.F("second"))), name="crm_mergesuggestion_ordered"
            ),
        ),
        migrations.AddConstraint(
            model_name="mergesuggestion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("decided_at__isnull", True), ("status", "open")),
                    models.Q(models.Q(("status", "open"), _negated=True), ("decided_at__isnull", False)),
                    _connector="OR",
                ),
                name="crm_mergesuggestion_decided",
            ),
        ),
        migrations.AddConstraint(
            model_name="ingestionwarning",
            constraint=models.UniqueConstraint(
                fields=("source", "code", "seen_on"), name="crm_warning_unique", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="identity",
            constraint=models.UniqueConstraint(fields=("kind", "value"), name="crm_identity_kind_value"),
        ),
    ]
