"""What each warning of the door means and what to do about it, in words for whoever looks after the sources.

Every code that the door can answer with has an entry here; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _


class Effect(models.TextChoices):
    """What became of the event."""

    LOST = "lost", _("not stored")
    CHANGED = "changed", _("stored, changed")
    NOTICED = "noticed", _("stored")
    DELAYED = "delayed", _("has to be sent again")


@dataclass(frozen=True, slots=True)
class Meaning:
    """A code in words. `advice` says what to do, and where."""

    title: Any
    text: Any
    advice: Any
    effect: str


CODES: dict[str, Meaning] = {
    "invalid_event": Meaning(
        _("Not an event"),
        _(
            "An item lacks what its type needs (a track event its name, a group its groupId), or a part "
            "of it has the wrong shape."
        ),
        _("Read the detail of the sample and mend the call that sends it."),
        Effect.LOST,
    ),
    "invalid_message_id": Meaning(
        _("Message ID unusable"),
        _(
            "messageId is not text, or longer than 255 characters. It is what keeps a repeated event from"
            " being stored twice."
        ),
        _("Let the SDK make the ID, or send a UUID."),
        Effect.LOST,
    ),
    "no_identifier": Meaning(
        _("Nobody is named"),
        _(
            "The event has neither userId nor anonymousId nor another identifier, so it belongs to no "
            "timeline."
        ),
        _("Send anonymousId for visitors and userId for people who are signed in."),
        Effect.LOST,
    ),
    "illegal_identifier": Meaning(
        _("A value that identifies nobody"),
        _(
            "A userId or another identifier was a placeholder such as null, guest or 0, or is not valid. "
            "When the event named somebody else as well it was stored for them."
        ),
        _("Leave the field out while nobody is signed in. The identity rules say which values are refused."),
        Effect.CHANGED,
    ),
    "account_unknown": Meaning(
        _("Account unknown"),
        _(
            "A public browser key sent a group call for an account that no server has named yet. The event is "
            "on the timeline; nobody was added to an account."
        ),
        _("Let a server send the group call once, or make the account on the page Accounts."),
        Effect.NOTICED,
    ),
    "account_traits_ignored": Meaning(
        _("Traits of an account not taken"),
        _(
            "A public browser key told traits of an account. Everybody can read that key, so what it says of a "
            "whole company is not believed. The person was added to the account as a claim."
        ),
        _("Send the traits of accounts from a server."),
        Effect.CHANGED,
    ),
    "identity_limit": Meaning(
        _("One identifier too many"),
        _(
            "The person already has as many identifiers of this kind as the identity rules allow; the "
            "weaker one was left out of the match."
        ),
        _("Often a shared device. If it is not, raise the limit of this kind in the identity rules."),
        Effect.CHANGED,
    ),
    "merge_not_allowed": Meaning(
        _("Two people kept apart"),
        _("The event named two people whom this source may not join."),
        _("Look at the merge suggestions and decide there."),
        Effect.CHANGED,
    ),
    "number_out_of_range": Meaning(
        _("A number that cannot be kept"),
        _("A number is not finite, or an integer has more than 25 digits."),
        _("Send such values as text."),
        Effect.LOST,
    ),
    "too_deep": Meaning(
        _("Nested too deep"),
        _("Values are nested more than 100 deep."),
        _("Send only the properties you need; look for an object that holds itself."),
        Effect.LOST,
    ),
    "invalid_character": Meaning(
        _("A character that cannot be kept"),
        _("Text holds a NUL or half of a surrogate pair."),
        _("Cut text by characters, not by bytes, and strip NUL before sending."),
        Effect.LOST,
    ),
    "too_large": Meaning(
        _("Event or batch too large"),
        _(
            "An event is larger than 32 KB, or a batch has more than 2,500 events; those beyond were not "
            "stored."
        ),
        _("Send smaller batches, and no files or whole pages as properties."),
        Effect.LOST,
    ),
    "too_many_traits": Meaning(
        _("Too many traits"),
        _("One identify call carries more than 300 traits."),
        _("Send only traits that somebody will use."),
        Effect.LOST,
    ),
    "not_allowed": Meaning(
        _("Not with a browser key"),
        _("A public key sent something only a server key may send, such as alias."),
        _("Send it from your own system with a server key."),
        Effect.LOST,
    ),
    "time_unreadable": Meaning(
        _("Time unreadable"),
        _(
            "timestamp is not an ISO 8601 time. The event was stored with the time it arrived; what was "
            "sent is kept beside it."
        ),
        _("Send times like 2026-05-01T10:00:00Z."),
        Effect.CHANGED,
    ),
    "time_without_zone": Meaning(
        _("Time without a zone"),
        _(
            "timestamp names no offset, so the moment is unknown. The event was stored with the time it "
            "arrived."
        ),
        _("Add Z or an offset such as +08:00."),
        Effect.CHANGED,
    ),
    "time_out_of_range": Meaning(
        _("Time out of range"),
        _(
            "The event is dated before the first month of history or too far ahead. It was stored with "
            "the time it arrived."
        ),
        _(
            "Check the sender's clock and whether seconds and milliseconds were mixed up. The two limits "
            "are knobs."
        ),
        Effect.CHANGED,
    ),
    "schema_violation": Meaning(
        _("Breaks the schema of its kind"),
        _(
            "A property is missing or has a type or value that the schema of this kind does not allow. "
            "The sample names the property."
        ),
        _("Mend the sender, or change the schema on the page of the kind."),
        Effect.NOTICED,
    ),
    "kind_blocked": Meaning(
        _("A blocked kind"),
        _("Staff blocked this kind of event; none of it is stored."),
        _("Stop sending it, or unblock the kind on its page."),
        Effect.LOST,
    ),
    "reserved_kind": Meaning(
        _("A name of the product's own"),
        _(
            "The event has the name of a fact that only Renxin records itself. Taking it from outside "
            "would let a sender forge it."
        ),
        _("Give the event another name."),
        Effect.LOST,
    ),
    "rate_limited": Meaning(
        _("Sends more than its share"),
        _(
            "The source sent faster than its limit, or held so many connections that others would have "
            "waited. It was told to wait and to send again; SDKs do."
        ),
        _("If the traffic is wanted, raise the limit on the page of the source. If not, revoke the key."),
        Effect.DELAYED,
    ),
}

_UNKNOWN_TEXT = _("This code has no explanation. The sample shows what it was about.")


def meaning(code: str) -> Meaning:
    """The words for a code; a code nobody described is its own title."""
    return CODES.get(code) or Meaning(code, _UNKNOWN_TEXT, "", Effect.NOTICED)
