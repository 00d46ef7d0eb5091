"""People to write to, kinds to write with, a moment that is daytime, and a mail server that remembers."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from crm.kernel import actors, jobs, knobs
from crm.selectors import catalogue, computed, followed, rules
from crm.services import consents, contacts, profiles
from lifecycle import registry
from lifecycle.registry import MessageKind, Template
from lifecycle.services import rendering, running

ACTOR = actors.system("tests")
# Noon in Shanghai, the organisation's zone.
NOON = datetime(2026, 11, 18, 4, 0, tzinfo=UTC)

SERVICE = MessageKind(
    code="tests.service",
    message_class="service",
    variables={"ticket": {"number": 7, "title": "Lamp flickers"}},
    templates={
        "en": Template(
            "Fixed: {{ ticket.title }}", "Hello {{ person.name }},\n\nno. {{ ticket.number }} is fixed.\n"
        ),
        "zh-hans": Template(
            "已修复：{{ ticket.title }}", "{{ person.name }}，您好！\n\n{{ ticket.number }} 号已修复。\n"
        ),
    },
)
MARKETING = MessageKind(
    code="tests.marketing",
    message_class="marketing",
    variables={"percent": 10},
    templates={"en": Template("{{ percent }}% off", "Only if you like: {{ percent }}% off.\n")},
)
CARE = MessageKind(
    code="tests.care", message_class="care", templates={"en": Template("A year together", "Thank you.\n")}
)
TRANSACTIONAL = MessageKind(
    code="tests.receipt",
    message_class="transactional",
    channels=("email",),
    templates={"en": Template("Your receipt", "Here it is.\n")},
)


# Everything that a process reads anew after some seconds.
REMEMBERS = (rendering, running, knobs, catalogue, computed, followed, rules)


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing cached from another test; caches live as long as the test, however slow the machine."""
    for module in REMEMBERS:
        monkeypatch.setattr(module, "CACHE_SECONDS", 3600.0)
    for kind in (SERVICE, MARKETING, CARE, TRANSACTIONAL):
        registry.register(kind)
    for module in REMEMBERS:
        module.forget()
    yield
    for module in REMEMBERS:
        module.forget()


@pytest.fixture(autouse=True)
def wakes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The wake-ups that would have been sent."""
    seen: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(jobs, "_send", lambda name, ids: seen.append((name, ids)))
    return seen


_numbers = itertools.count(1)


@pytest.fixture
def person(db: None) -> Callable[..., int]:
    """Make a person: `person(email=…, language=…, time_zone=…, agrees=("marketing",))` returns the profile id."""

    def make(
        *,
        email: str | None = "",
        origin: str = "server",
        agrees: tuple[str, ...] = (),
        now: datetime = NOON,
        **names: str,
    ) -> int:
        number = next(_numbers)
        profile_id = profiles.resolve(
            [("user_id", f"reader-{number}")], trust="server", actor=ACTOR, now=now, names=names or None
        )
        if email is not None:
            contacts.add(
                profile_id,
                channel="email",
                value=email or f"reader-{number}@example.com",
                origin=origin,
                actor=ACTOR,
                now=now,
            )
        for purpose in agrees:
            consents.record(
                profile_id,
                purpose=purpose,
                channel="email",
                granted=True,
                way="form",
                text_version="1",
                evidence={},
                actor=ACTOR,
                now=now,
            )
        return profile_id

    return make


@dataclass
class MailServer:
    """A small SMTP server: keeps what it was given, and answers as it is told to."""

    port: int = 0
    raw: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    refuse_data: str = ""
    connections: int = 0

    @property
    def messages(self) -> list[EmailMessage]:
        """What arrived, parsed."""
        return [message_from_bytes(raw, policy=policy.default) for raw in self.raw]  # type: ignore[misc]

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: Any
    ) -> Any:
        """Count a connection."""
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        """Accept, or refuse as told."""
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep the message."""
        if self.refuse_data:
            return self.refuse_data
        self.raw.append(envelope.original_content)
        self.recipients.extend(envelope.rcpt_tos)
        return "250 OK kept"


@pytest.fixture
def mail_server(settings: Any) -> Iterator[MailServer]:
    """A mail server on a free port, with Django told to use it."""
    from aiosmtpd.controller import Controller

    handler = MailServer()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        handler.port = probe.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=handler.port)
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", handler.port
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    handler.connections = 0
    yield handler
    controller.stop()
