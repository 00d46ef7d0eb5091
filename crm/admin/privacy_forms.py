"""What the forms on the privacy page of a person do: each reads its fields, calls one service and says what it did."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from crm.kernel.actors import Actor
from crm.kernel.errors import Invalid
from crm.selectors import consent_texts
from crm.services import choices, consents, corrections, erasure, opt_ins, person_exports
from crm.states import ConsentWay

Act = Callable[..., Any]
FIELDS = (
    "display_name",
    "family_name",
    "given_name",
    "language",
    "timezone",
    "birthday",
    "country",
    "region",
)


def record_consent(request: HttpRequest, root_id: int, *, actor: Actor, now: datetime) -> str:
    """A decision the person made on the phone, on paper, at the counter; evidence says where it can be found."""
    evidence = request.POST.get("evidence", "").strip()
    if not evidence:
        raise Invalid(_("Say how you know: a call, a letter, a form."), code="no_evidence", field="evidence")
    purpose = request.POST.get("purpose", "")
    granted = request.POST.get("granted") == "1"
    texts = consent_texts.in_force(now=now)
    consents.record(
        root_id,
        purpose=purpose,
        channel=request.POST.get("channel", ""),
        granted=granted,
        way=ConsentWay.STAFF,
        text_version=texts[purpose].code if granted and purpose in texts else "",
        language=request.POST.get("language", ""),
        evidence={"note": evidence[:500]},
        actor=actor,
        now=now,
    )
    return _("Written down. It counts from this moment.")


def ask_to_confirm(request: HttpRequest, root_id: int, *, actor: Actor, now: datetime) -> str:
    """Let the owner of an address confirm a yes themselves."""
    contact_id = request.POST.get("contact", "")
    row = opt_ins.request(
        root_id,
        contact_id=int(contact_id) if contact_id.isdecimal() and len(contact_id) < 19 else 0,
        purposes=request.POST.getlist("purposes"),
        way=ConsentWay.STAFF,
        language=request.POST.get("language", ""),
        actor=actor,
        now=now,
    )
    if row is None:
        return _("No mail was sent: this address was asked often enough, or must not be written to.")
    return _("A mail with a button is on its way. It counts when the button was pressed.")


def pause(request: HttpRequest, root_id: int, *, actor: Actor, now: datetime) -> str:
    """The person asked for a pause."""
    if request.POST.get("pause") == "0":
        choices.resume(root_id, actor=actor, now=now)
        return _("The pause is over.")
    choices.pause(root_id, actor=actor, now=now)
    return _("Paused.")


def correct(request: HttpRequest, root_id: int, *, actor: Actor, now: datetime) -> str:
    """Put a value right, with the reason."""
    values = {name: request.POST.get(name, "").strip() for name in FIELDS if name in request.POST}
    changed = corrections.correct(
        root_id, values=values, reason=request.POST.get("reason", ""), actor=actor, now=now
    )
    return _("Corrected.") if changed else _("Nothing was changed.")


def export(request: HttpRequest, root_id: int, *, actor: Actor, now: datetime) -> HttpResponseRedirect:
    """Have the file made; its page tells when it is there."""
    language = "zh-hans" if (get_language() or "").startswith("zh") else "en"
    row = person_exports.request(root_id, language=language, actor=actor, now=now)
    return HttpResponseRedirect(reverse("admin:crm_personexport_change", args=[row.pk]))


def request_erasure(
    request: HttpRequest, root_id: int, *, actor: Actor, now: datetime
) -> HttpResponseRedirect:
    """Ask for an erasure; somebody else has to agree."""
    row = erasure.request(root_id, actor=actor, needs_approval=True, now=now)
    return HttpResponseRedirect(reverse("admin:crm_erasure_change", args=[row.pk]))


def erase_now(request: HttpRequest, root_id: int, *, actor: Actor, now: datetime) -> HttpResponseRedirect:
    """Erase at once, after typing the number of the person."""
    if request.POST.get("confirm", "").strip() != str(root_id):
        raise Invalid(
            _("Nothing was erased: type the number %(id)s to confirm.") % {"id": root_id},
            code="not_confirmed",
            field="confirm",
        )
    row = erasure.start(root_id, actor=actor, now=now)
    return HttpResponseRedirect(reverse("admin:crm_erasure_change", args=[row.pk]))


ACTIONS: dict[str, tuple[str, Act]] = {
    "record_consent": ("crm.add_consentrecord", record_consent),
    "ask_to_confirm": ("crm.add_consentrecord", ask_to_confirm),
    "pause": ("crm.change_profile", pause),
    "correct": ("crm.change_profile", correct),
    "export": ("crm.export_person", export),
    "request_erasure": ("crm.add_erasure", request_erasure),
    "erase_now": ("crm.erase_profile", erase_now),
}
