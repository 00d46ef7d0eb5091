"""New versions of consent texts. A version is never altered: whoever agreed to it agreed to these words."""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid
from crm.models import ConsentText
from crm.selectors import consent_texts
from crm.states import Purpose

LONGEST = 2000
_LOCK = 0x52454E0A


def write(
    purpose: str,
    *,
    text_en: str,
    text_zh_hans: str,
    actor: Actor,
    now: datetime,
    valid_from: datetime | None = None,
) -> ConsentText:
    """The next version of a purpose's text, in force from `valid_from` (now). Raises Invalid; Conflict `unchanged`
    when the words are those in force."""
    if purpose not in Purpose.values:
        raise Invalid(
            _("There is no such purpose."), code="invalid_choice", field="purpose", allowed=Purpose.values
        )
    words = {"text_en": text_en.strip(), "text_zh_hans": text_zh_hans.strip()}
    for field, text in words.items():
        if not text or len(text) > LONGEST:
            raise Invalid(
                _("A consent text has 1 to %(most)d characters, in both languages.") % {"most": LONGEST},
                code="invalid_text",
                field=field,
            )
    starts = valid_from or now
    if starts < now:
        raise Invalid(
            _("A text cannot be in force before it was written."), code="in_the_past", field="valid_from"
        )
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        current = consent_texts.in_force(now=starts)[purpose]
        if (current.text_en, current.text_zh_hans) == (words["text_en"], words["text_zh_hans"]):
            raise Conflict(_("These are the words that are in force already."), code="unchanged")
        newest = ConsentText.objects.filter(purpose=purpose).aggregate(newest=Max("version"))["newest"]
        row = ConsentText.objects.create(
            purpose=purpose,
            version=(newest or 1) + 1,
            valid_from=starts,
            created_by=str(actor),
            created_at=now,
            **words,
        )
        actionlog.write(actor, "crm.consent_text.written", row, fields=("text_en", "text_zh_hans"), now=now)
    return row
