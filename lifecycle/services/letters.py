"""A message as its reader gets it: rendered in their language and zone, with links that are theirs alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from django.conf import settings

from crm.kernel import knobs, tokens
from crm.selectors import contacts
from crm.services import quiet_hours
from lifecycle.registry import MessageKind
from lifecycle.services import rendering
from lifecycle.services.mime import Envelope


def envelope_for(
    message_id: int,
    *,
    root_id: int,
    kind: MessageKind,
    address: contacts.Address,
    rendered: rendering.Rendered,
    date: str,
) -> Envelope:
    """The e-mail of a rendered message, with the links of its reader."""
    unsubscribe = ""
    if not kind.is_transactional:
        token = tokens.make("unsubscribe", {"m": message_id, "c": address.id, "u": kind.consent_purpose})
        unsubscribe = f"{settings.BASE_URL}/u/{token}/"
    return Envelope(
        message_id=message_id,
        address=address.value,
        subject=rendered.subject,
        body=rendered.body,
        shared_body=rendered.shared_body,
        words=rendered.words,
        language=rendered.language,
        date=date,
        inbox_url="" if kind.to == "contact" else _Links(root_id)["inbox"],
        unsubscribe_url=unsubscribe,
    )


def render_for(kind: MessageKind, *, root: Any, context: dict[str, Any], key: str = "") -> rendering.Rendered:
    """Render for this reader: their language and zone, else the organisation's. Raises TemplateFault.

    `key` is the context as text, for a caller that has it at hand.
    """
    default = knobs.get("lifecycle.default_language")
    organisation = knobs.get("lifecycle.organisation_name")
    words = {"name": root.display_name, "family_name": root.family_name, "given_name": root.given_name}
    language = root.language or default
    zone = quiet_hours.zone_of(root.time_zone).key
    if "person" not in context and "links" not in context:
        shared = rendering.render_shared(
            kind,
            {"organisation": {"name": organisation}, **context},
            words=words,
            key=(key or orjson.dumps(context, option=orjson.OPT_SORT_KEYS), organisation),
            language=language,
            time_zone=zone,
            default_language=default,
        )
        if shared is not None:
            return shared
    values = {"organisation": {"name": organisation}, "person": words, "links": _Links(root.pk), **context}
    return rendering.render(kind, values, language=language, time_zone=zone, default_language=default)


class _Links(Mapping[str, str]):
    """Links of one reader, signed only when a template asks for them."""

    def __init__(self, root_id: int) -> None:
        self._root_id = root_id

    def __getitem__(self, name: str) -> str:
        if name == "home":
            return f"{settings.BASE_URL}/"
        if name == "inbox":
            return f"{settings.BASE_URL}/me/{tokens.make('inbox', {'p': self._root_id})}/"
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(("home", "inbox"))

    def __len__(self) -> int:
        return 2
