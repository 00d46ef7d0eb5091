"""Message kinds: what can be sent, of which class, to which channels, with which variables and built-in texts.

An app registers its kinds in `ready()`. A kind's samples are the whole vocabulary of its templates: a variable
that is not among them is refused when a template is saved, and built-in texts are held to the same rule by a
system check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from crm.kernel.errors import NotFound
from crm.states import Channel, MessageClass, Purpose

CHANNELS: Final = (Channel.IN_APP, Channel.EMAIL)

# Given to every template, whatever its kind: the reader and the house.
COMMON: Final[Mapping[str, Any]] = {
    "person": {"name": "Lin Xia", "family_name": "Lin", "given_name": "Xia"},
    "organisation": {"name": "Renxin"},
    "links": {"inbox": "https://example.com/me/abc/", "home": "https://example.com/"},
}


@dataclass(frozen=True, slots=True)
class Template:
    """A one-line subject and a plain-text body, both Liquid."""

    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class MessageKind:
    """One kind of message.

    `variables` maps each name to a sample value (nested mappings and lists as they will come). `to` is
    `"person"` (the deliverable address of the person) or `"contact"`: exactly the contact point whose id is in
    the context as `contact_id`, which is how an address is asked to confirm itself.
    """

    code: str
    message_class: str
    templates: Mapping[str, Template]
    label: Any = ""
    channels: tuple[str, ...] = CHANNELS
    purpose: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    to: str = "person"

    @property
    def is_transactional(self) -> bool:
        """Part of something the person just asked for: no unsubscribe, no quiet hours, no cap."""
        return self.message_class == MessageClass.TRANSACTIONAL

    @property
    def class_label(self) -> Any:
        """Its class as staff read it."""
        return MessageClass(self.message_class).label

    @property
    def channel_labels(self) -> list[Any]:
        """Its channels as staff read them."""
        return [Channel(channel).label for channel in self.channels]

    @property
    def consent_purpose(self) -> str:
        """The purpose whose consent is read; empty for transactional messages."""
        if self.is_transactional:
            return ""
        return self.purpose or str(self.message_class)

    @property
    def resend_unknown(self) -> bool:
        """Whether a message whose fate is unknown goes out once more. Marketing and care never do."""
        return self.message_class in (MessageClass.TRANSACTIONAL, MessageClass.SERVICE)


_kinds: dict[str, MessageKind] = {}


def register(kind: MessageKind) -> MessageKind:
    """Add a kind. Raises ValueError for a contradiction in it or a code that is taken."""
    if kind.code in _kinds and _kinds[kind.code] != kind:
        raise ValueError(f"message kind {kind.code!r} is registered twice")
    if kind.message_class not in MessageClass.values:
        raise ValueError(f"{kind.code}: no message class {kind.message_class!r}")
    if not kind.channels or set(kind.channels) - set(CHANNELS):
        raise ValueError(f"{kind.code}: channels are some of {', '.join(CHANNELS)}")
    if kind.consent_purpose and kind.consent_purpose not in Purpose.values:
        raise ValueError(f"{kind.code}: no purpose {kind.consent_purpose!r}")
    if "en" not in kind.templates:
        raise ValueError(f"{kind.code}: an English template is the least")
    _kinds[kind.code] = kind
    return kind


def find(code: str) -> MessageKind | None:
    """The kind, or None when no installed app registers it (any more)."""
    return _kinds.get(code)


def get(code: str) -> MessageKind:
    """The kind. Raises NotFound."""
    kind = _kinds.get(code)
    if kind is None:
        raise NotFound(
            _("There is no message kind of that name."), code="no_such_message_kind", allowed=sorted(_kinds)
        )
    return kind


def all_kinds() -> list[MessageKind]:
    """Every kind, by code."""
    return [_kinds[code] for code in sorted(_kinds)]


def labels() -> dict[str, Any]:
    """Human names by code."""
    return {code: kind.label or code for code, kind in _kinds.items()}
