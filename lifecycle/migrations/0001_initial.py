"""Tables of lifecycle as Django describes them; what is append-only is said in 0002."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("crm", "0003_append_only_and_rules"),
        ("pghistory", "0007_auto_20250421_0444"),
    ]

    operations = [
        migrations.CreateModel(
            name="Delivery",
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
                ("contact_id", models.BigIntegerField(blank=True, null=True, verbose_name="contact point")),
                (
                    "address_hash",
                    models.CharField(blank=True, default="", max_length=64, verbose_name="address hash"),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "Waiting for another try"),
                            ("claimed", "In a run that is sending"),
                            ("sent", "Handed over"),
                            ("failed", "Failed"),
                            ("unknown", "Fate unknown"),
                        ],
                        max_length=8,
                        verbose_name="status",
                    ),
                ),
                ("run", models.UUIDField(blank=True, null=True, verbose_name="run")),
                ("position", models.IntegerField(default=0, verbose_name="position")),
                ("attempts", models.PositiveSmallIntegerField(default=0, verbose_name="attempts")),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True, verbose_name="next try")),
                (
                    "provider_ref",
                    models.CharField(
                        blank=True, default="", max_length=200, verbose_name="provider reference"
                    ),
                ),
                ("error", models.CharField(blank=True, default="", max_length=200, verbose_name="answer")),
                (
                    "gaps",
                    models.PositiveSmallIntegerField(
                        default=0,
                        help_text="How often a crash left it unknown whether it had been handed over.",
                        verbose_name="gaps",
                    ),
                ),
                ("gap_at", models.DateTimeField(blank=True, null=True, verbose_name="last gap")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
                ("claimed_at", models.DateTimeField(blank=True, null=True, verbose_name="checked")),
                ("settled_at", models.DateTimeField(blank=True, null=True, verbose_name="settled")),
            ],
            options={
                "verbose_name": "delivery",
                "verbose_name_plural": "deliveries",
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="JourneyEvent",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("id", models.BigIntegerField()),
                ("name", models.CharField(max_length=120, verbose_name="name")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("active", "Active"),
                            ("paused", "Paused"),
                            ("archived", "Archived"),
                        ],
                        default="draft",
                        max_length=8,
                        verbose_name="status",
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1, verbose_name="version")),
                (
                    "template",
                    models.CharField(blank=True, default="", max_length=80, verbose_name="made from"),
                ),
                ("activated_at", models.DateTimeField(blank=True, null=True, verbose_name="activated")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
                (
                    "created_by",
                    models.CharField(blank=True, default="", max_length=80, verbose_name="created by"),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="JourneyVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField(verbose_name="number")),
                ("definition", models.JSONField(verbose_name="definition")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
                (
                    "created_by",
                    models.CharField(blank=True, default="", max_length=80, verbose_name="created by"),
                ),
            ],
            options={
                "verbose_name": "journey version",
                "verbose_name_plural": "journey versions",
                "ordering": ["-number"],
            },
        ),
        migrations.CreateModel(
            name="MessageTemplate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=80, verbose_name="message kind")),
                (
                    "language",
                    models.CharField(
                        choices=[("en", "English"), ("zh-hans", "Simplified Chinese")],
                        max_length=12,
                        verbose_name="language",
                    ),
                ),
                ("subject", models.CharField(max_length=200, verbose_name="subject")),
                ("body", models.TextField(verbose_name="text")),
                (
                    "updated_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="updated"
                    ),
                ),
                ("updated_by", models.CharField(blank=True, max_length=80, verbose_name="updated by")),
            ],
            options={
                "verbose_name": "message template",
                "verbose_name_plural": "message templates",
                "ordering": ["kind", "language"],
            },
        ),
        migrations.CreateModel(
            name="MessageTemplateEvent",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("id", models.BigIntegerField()),
                ("kind", models.CharField(max_length=80, verbose_name="message kind")),
                (
                    "language",
                    models.CharField(
                        choices=[("en", "English"), ("zh-hans", "Simplified Chinese")],
                        max_length=12,
                        verbose_name="language",
                    ),
                ),
                ("subject", models.CharField(max_length=200, verbose_name="subject")),
                ("body", models.TextField(verbose_name="text")),
                (
                    "updated_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="updated"
                    ),
                ),
                ("updated_by", models.CharField(blank=True, max_length=80, verbose_name="updated by")),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="OutboundMessage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=80, verbose_name="message kind")),
                (
                    "subject_key",
                    models.CharField(
                        help_text="What it is about; a message goes once per key.",
                        max_length=200,
                        verbose_name="subject key",
                    ),
                ),
                ("context", models.JSONField(blank=True, default=dict, verbose_name="values")),
                (
                    "language",
                    models.CharField(blank=True, default="", max_length=12, verbose_name="language"),
                ),
                (
                    "decision",
                    models.CharField(
                        choices=[
                            ("queued", "Waiting"),
                            ("held", "Held"),
                            ("sent", "Sent"),
                            ("dropped", "Not sent"),
                            ("failed", "Failed"),
                        ],
                        default="queued",
                        max_length=8,
                        verbose_name="decision",
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "–"),
                            ("quiet_hours", "Quiet hours where the person lives"),
                            ("template_error", "The template needs a value that is missing"),
                            ("no_address", "No address we may write to"),
                            ("no_consent", "The person has not agreed to this kind of message"),
                            ("unsubscribed", "Unsubscribed"),
                            ("suppressed", "This address must not be written to"),
                            ("frequency_cap", "Enough messages for now (contact pressure)"),
                            ("erased", "The person's data was erased"),
                            ("duplicate", "Already sent to the same person under another profile"),
                            ("holdout", "In the comparison group that gets nothing"),
                            ("converted", "The goal was met before"),
                            ("cancelled", "Cancelled"),
                            ("expired", "Too late to be of use"),
                            ("unknown_kind", "No such kind of message is installed"),
                            ("bounced", "The address does not exist"),
                            ("refused", "Refused by the mail server"),
                            ("gave_up", "The mail server could not be reached for too long"),
                            ("unknown_fate", "It may or may not have arrived; it is not sent again"),
                            ("too_many_claims", "Sending was interrupted too many times"),
                        ],
                        default="",
                        max_length=20,
                        verbose_name="reason",
                    ),
                ),
                ("run_at", models.DateTimeField(verbose_name="due")),
                ("expires_at", models.DateTimeField(blank=True, null=True, verbose_name="useful until")),
                ("claims", models.PositiveSmallIntegerField(default=0, verbose_name="claims")),
                ("lease_until", models.DateTimeField(blank=True, null=True, verbose_name="leased until")),
                ("claim_token", models.UUIDField(blank=True, null=True, verbose_name="claim token")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
                ("decided_at", models.DateTimeField(blank=True, null=True, verbose_name="decided")),
            ],
            options={
                "verbose_name": "message",
                "verbose_name_plural": "messages",
                "ordering": ["-id"],
                "permissions": [("retry_outboundmessage", "Can retry or cancel messages")],
            },
        ),
        migrations.CreateModel(
            name="SendRun",
            fields=[
                (
                    "token",
                    models.UUIDField(
                        default=uuid.uuid4, primary_key=True, serialize=False, verbose_name="token"
                    ),
                ),
                ("position", models.IntegerField(default=0, verbose_name="position")),
                ("in_flight", models.BooleanField(default=False, verbose_name="in flight")),
                ("lease_until", models.DateTimeField(verbose_name="leased until")),
                (
                    "started_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="started"
                    ),
                ),
            ],
            options={
                "verbose_name": "send run",
                "verbose_name_plural": "send runs",
            },
        ),
        migrations.CreateModel(
            name="Enrolment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("entry_key", models.CharField(max_length=120, verbose_name="entry key")),
                (
                    "arm",
                    models.CharField(
                        choices=[("treatment", "Gets the messages"), ("holdout", "Comparison group")],
                        max_length=9,
                        verbose_name="arm",
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("waiting", "On the way"),
                            ("converted", "Goal met"),
                            ("exited", "Left early"),
                            ("finished", "Reached the end"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=9,
                        verbose_name="status",
                    ),
                ),
                (
                    "exit_cause",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "–"),
                            ("exit_rule", "An exit rule matched"),
                            ("erased", "The person's data was erased"),
                            ("duplicate", "Merged with a person who is in this journey with the same key"),
                            ("archived", "The journey was archived"),
                            ("expired", "The journey stood still for too long"),
                        ],
                        default="",
                        max_length=10,
                        verbose_name="left because",
                    ),
                ),
                ("step", models.CharField(max_length=40, verbose_name="step")),
                ("context", models.JSONField(blank=True, default=dict, verbose_name="values")),
                ("entered_at", models.DateTimeField(verbose_name="entered")),
                ("run_at", models.DateTimeField(blank=True, null=True, verbose_name="goes on")),
                ("ended_at", models.DateTimeField(blank=True, null=True, verbose_name="ended")),
                ("claims", models.PositiveSmallIntegerField(default=0, verbose_name="claims")),
                ("lease_until", models.DateTimeField(blank=True, null=True, verbose_name="leased until")),
                ("claim_token", models.UUIDField(blank=True, null=True, verbose_name="claim token")),
                (
                    "profile",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="crm.profile",
                        verbose_name="person",
                    ),
                ),
            ],
            options={
                "verbose_name": "enrolment",
                "verbose_name_plural": "enrolments",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="EnrolmentEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("entered", "Entered"),
                            ("waited", "Waits"),
                            ("branched", "Condition checked"),
                            ("messaged", "Message queued"),
                            ("withheld", "Message withheld (comparison group)"),
                            ("converted", "Goal met"),
                            ("exited", "Left early"),
                            ("finished", "Reached the end"),
                            ("failed", "Failed"),
                        ],
                        max_length=10,
                        verbose_name="what",
                    ),
                ),
                ("step", models.CharField(blank=True, default="", max_length=40, verbose_name="step")),
                ("detail", models.JSONField(blank=True, default=dict, verbose_name="detail")),
                ("occurred_at", models.DateTimeField(verbose_name="when")),
                (
                    "enrolment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="events",
                        to="lifecycle.enrolment",
                        verbose_name="enrolment",
                    ),
                ),
            ],
            options={
                "verbose_name": "enrolment event",
                "verbose_name_plural": "enrolment events",
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="InboxItem",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("subject", models.CharField(max_length=300, verbose_name="subject")),
                ("body", models.TextField(verbose_name="text")),
                ("created_at", models.DateTimeField(verbose_name="created")),
                ("read_at", models.DateTimeField(blank=True, null=True, verbose_name="read")),
                (
                    "profile",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="crm.profile",
                        verbose_name="person",
                    ),
                ),
            ],
            options={
                "verbose_name": "inbox item",
                "verbose_name_plural": "inbox items",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Journey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=120, unique=True, verbose_name="name")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("active", "Active"),
                            ("paused", "Paused"),
                            ("archived", "Archived"),
                        ],
                        default="draft",
                        max_length=8,
                        verbose_name="status",
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1, verbose_name="version")),
                (
                    "template",
                    models.CharField(blank=True, default="", max_length=80, verbose_name="made from"),
                ),
                ("activated_at", models.DateTimeField(blank=True, null=True, verbose_name="activated")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="created"
                    ),
                ),
                (
                    "created_by",
                    models.CharField(blank=True, default="", max_length=80, verbose_name="created by"),
                ),
            ],
            options={
                "verbose_name": "journey",
                "verbose_name_plural": "journeys",
                "ordering": ["-id"],
                "permissions": [("activate_journey", "Can activate, pause and archive journeys")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status__in", ("active", "paused")), _negated=True),
                            ("activated_at__isnull", False),
                            _connector="OR",
                        ),
                        name="lifecycle_journey_activated",
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="enrolment",
            name="journey",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="lifecycle.journey",
                verbose_name="journey",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="journey",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "lifecycle_journeyevent" ("activated_at", "created_at", "created_by", "id", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "status", "template", "version") VALUES (NEW."activated_at", NEW."created_at", NEW."created_by", NEW."id", NEW."name", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."status", NEW."template", NEW."version"); RETURN NULL;',
                    hash="c4cf065859956e09c936e39b5956bff5e2ddb6ed",
                    operation="INSERT",
                    pgid="pgtrigger_insert_insert_7b51a",
                    table="lifecycle_journey",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="journey",
            trigger=pgtrigger.compiler.Trigger(
                name="update_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.* IS DISTINCT FROM NEW.*)",
                    func='INSERT INTO "lifecycle_journeyevent" ("activated_at", "created_at", "created_by", "id", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "status", "template", "version") VALUES (NEW."activated_at", NEW."created_at", NEW."created_by", NEW."id", NEW."name", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."status", NEW."template", NEW."version"); RETURN NULL;',
                    hash="15cca8fff82af627fa178237d4f92d15f5fe6e23",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_5bccb",
                    table="lifecycle_journey",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="journeyevent",
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
            model_name="journeyevent",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="events",
                to="lifecycle.journey",
            ),
        ),
        migrations.AddField(
            model_name="journeyversion",
            name="journey",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="versions",
                to="lifecycle.journey",
                verbose_name="journey",
            ),
        ),
        migrations.AddField(
            model_name="enrolment",
            name="version",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="lifecycle.journeyversion",
                verbose_name="version",
            ),
        ),
        migrations.AddConstraint(
            model_name="messagetemplate",
            constraint=models.UniqueConstraint(fields=("kind", "language"), name="lifecycle_template_once"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="messagetemplate",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "lifecycle_messagetemplateevent" ("body", "id", "kind", "language", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "subject", "updated_at", "updated_by") VALUES (NEW."body", NEW."id", NEW."kind", NEW."language", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."subject", NEW."updated_at", NEW."updated_by"); RETURN NULL;',
                    hash="537fe8483da58455226cb541f808cf3c5473762d",
                    operation="INSERT",
                    pgid="pgtrigger_insert_insert_36af9",
                    table="lifecycle_messagetemplate",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="messagetemplate",
            trigger=pgtrigger.compiler.Trigger(
                name="update_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.* IS DISTINCT FROM NEW.*)",
                    func='INSERT INTO "lifecycle_messagetemplateevent" ("body", "id", "kind", "language", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "subject", "updated_at", "updated_by") VALUES (NEW."body", NEW."id", NEW."kind", NEW."language", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."subject", NEW."updated_at", NEW."updated_by"); RETURN NULL;',
                    hash="6450c81e5967ec7b02188db7acde75185dfcaf2e",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_78858",
                    table="lifecycle_messagetemplate",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="messagetemplateevent",
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
            model_name="messagetemplateevent",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="events",
                to="lifecycle.messagetemplate",
            ),
        ),
        migrations.AddField(
            model_name="outboundmessage",
            name="profile",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.profile",
                verbose_name="person",
            ),
        ),
        migrations.AddField(
            model_name="inboxitem",
            name="message",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="inbox_item",
                to="lifecycle.outboundmessage",
                verbose_name="message",
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="message",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
                to="lifecycle.outboundmessage",
                verbose_name="message",
            ),
        ),
        migrations.AddIndex(
            model_name="enrolmentevent",
            index=models.Index(fields=["enrolment", "id"], name="lifecycle_event_enrolment"),
        ),
        migrations.AddConstraint(
            model_name="journeyversion",
            constraint=models.UniqueConstraint(fields=("journey", "number"), name="lifecycle_version_once"),
        ),
        migrations.AddIndex(
            model_name="enrolment",
            index=models.Index(
                condition=models.Q(("status", "waiting")),
                fields=["run_at", "id"],
                name="lifecycle_enrolment_due",
            ),
        ),
        migrations.AddIndex(
            model_name="enrolment",
            index=models.Index(fields=["journey", "-entered_at"], name="lifecycle_enrolment_funnel"),
        ),
        migrations.AddConstraint(
            model_name="enrolment",
            constraint=models.UniqueConstraint(
                fields=("profile", "journey", "entry_key"), name="lifecycle_enrolment_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="enrolment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", True), ("run_at__isnull", False), ("status", "waiting")),
                    models.Q(models.Q(("status", "waiting"), _negated=True), ("ended_at__isnull", False)),
                    _connector="OR",
                ),
                name="lifecycle_enrolment_ended",
            ),
        ),
        migrations.AddIndex(
            model_name="outboundmessage",
            index=models.Index(
                condition=models.Q(("decision__in", ("queued", "held"))),
                fields=["run_at", "id"],
                name="lifecycle_message_due",
            ),
        ),
        migrations.AddIndex(
            model_name="outboundmessage",
            index=models.Index(fields=["subject_key", "kind"], name="lifecycle_message_subject"),
        ),
        migrations.AddIndex(
            model_name="outboundmessage",
            index=models.Index(fields=["decided_at", "decision"], name="lifecycle_message_day"),
        ),
        migrations.AddConstraint(
            model_name="outboundmessage",
            constraint=models.UniqueConstraint(
                fields=("profile", "kind", "subject_key"), name="lifecycle_message_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="outboundmessage",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decision__in", ("queued", "held")), ("decided_at__isnull", False), _connector="OR"
                ),
                name="lifecycle_message_decided",
            ),
        ),
        migrations.AddConstraint(
            model_name="outboundmessage",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("decision__in", ("held", "dropped", "failed")), _negated=True),
                    models.Q(("reason", ""), _negated=True),
                    _connector="OR",
                ),
                name="lifecycle_message_reason",
            ),
        ),
        migrations.AddIndex(
            model_name="inboxitem",
            index=models.Index(fields=["profile", "-id"], name="lifecycle_inbox_person"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("status", "queued")),
                fields=["next_attempt_at"],
                name="lifecycle_delivery_retry",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("status", "claimed")),
                fields=["run", "position"],
                name="lifecycle_delivery_run",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("gaps__gt", 0)), fields=["gap_at"], name="lifecycle_delivery_gap"
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(fields=("message", "channel"), name="lifecycle_delivery_once"),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("status__in", ("queued", "claimed")), ("settled_at__isnull", False), _connector="OR"
                ),
                name="lifecycle_delivery_settled",
            ),
        ),
    ]
