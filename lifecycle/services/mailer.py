"""One connection to the mail server for a whole batch, and an honest answer per e-mail.

With Django's SMTP backend the bytes go over its own connection (see services.conversation); any other backend
(console, file, a provider's) gets an EmailMessage. The answer tells apart what
policy has to tell apart: handed over, refused for now, refused for good, not reachable, fate unknown.
"""

from __future__ import annotations

import re
import smtplib
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from django.core import mail
from django.core.mail.backends.smtp import EmailBackend

from lifecycle.services import mime
from lifecycle.services.conversation import Conversation, Reply
from lifecycle.services.mime import Envelope

TIMEOUT_SECONDS: Final = 20
MESSAGES_PER_CONNECTION: Final = 10_000
REST_SECONDS: Final = 10.0


class Answer(Enum):
    """What the other side said, or did not say."""

    SENT = "sent"
    TEMPORARY = "temporary"
    NO_SUCH_ADDRESS = "no_such_address"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"  # surely not handed over
    UNKNOWN = "unknown"  # the connection broke after the message had gone out


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer, with the server's code and first line (never an address)."""

    answer: Answer
    detail: str = ""


SENT: Final = Outcome(Answer.SENT)


class Mailer:
    """A context manager; opens its connection with the first e-mail and keeps it."""

    def __init__(self) -> None:
        self._backend: Any = None
        self._talk: Conversation | None = None
        self._sent = 0
        self._rests_until = 0.0
        self._from = mime.from_address()
        self._ready: tuple[Envelope, bytes] | None = None
        self._under_way: tuple[Envelope, Envelope | None, bool] | None = None

    def __enter__(self) -> Mailer:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def send(self, envelope: Envelope, *, then: Envelope | None = None) -> Outcome:
        """Hand over one e-mail. Never raises for what the network or the server does.

        `then` is the e-mail the caller is going to send next, if it knows: its commands may travel with this one's
        content. Its content does not, so nobody can have received it before it is sent.
        """
        outcome = self.begin(envelope, then=then)
        return self.finish() if outcome is None else outcome

    def prepare(self, envelope: Envelope) -> None:
        """Build the bytes of the e-mail that is handed over next, while there is something else to wait for."""
        self._ready = (envelope, envelope.as_bytes()) if self._talk is not None else None

    def begin(self, envelope: Envelope, *, then: Envelope | None = None) -> Outcome | None:
        """The first half of `send`: the content is on its way and `finish` waits for the answer (None), or there is
        an outcome already. Whoever has several mailers begins with all of them first."""
        if not mime.is_address(envelope.address):
            return Outcome(Answer.NO_SUCH_ADDRESS, "not an address")
        if time.monotonic() < self._rests_until:
            # the server is away: the caller goes on deciding, and does not wait for a time-out per batch
            return Outcome(Answer.UNREACHABLE, "resting")
        ahead = self._talk is not None and self._talk.runs_ahead
        self._under_way = (envelope, then, ahead)
        return self._once_more(self._begin(envelope, then))

    def finish(self) -> Outcome:
        """The second half of `send`, after a `begin` that returned None."""
        outcome = self._once_more(self._finish())
        return self._finish() if outcome is None else outcome

    def _once_more(self, outcome: Outcome | None) -> Outcome | None:
        if outcome is None or outcome.answer is not Answer.UNREACHABLE or self._under_way is None:
            return outcome
        envelope, then, ahead = self._under_way
        if not ahead:
            return outcome
        # The server took the one before and hung up, as many do after so many messages: that is no absence.
        self._rests_until = 0.0
        self._under_way = (envelope, then, False)
        return self._begin(envelope, then)

    def close(self) -> None:
        """Say goodbye; a server that is gone already is no fault."""
        if self._talk is not None and self._talk.runs_ahead:
            self._forget()  # it waits for an e-mail that will not come: hanging up is the only way out
        if self._backend is not None:
            with suppress(OSError, smtplib.SMTPException):
                self._backend.close()
        self._backend = self._talk = self._ready = self._under_way = None
        self._sent = 0

    def _begin(self, envelope: Envelope, then: Envelope | None) -> Outcome | None:
        try:
            self._open()
        except (OSError, smtplib.SMTPException) as error:
            self._forget()
            self._rests_until = time.monotonic() + REST_SECONDS
            return Outcome(Answer.UNREACHABLE, _describe(error))
        if self._talk is not None:
            return self._begin_raw(self._talk, envelope, then)
        return self._send_message(envelope)

    def _open(self) -> None:
        if self._backend is not None:
            if self._sent < MESSAGES_PER_CONNECTION or (self._talk is not None and self._talk.runs_ahead):
                return
            self.close()
        backend = mail.get_connection(fail_silently=False)
        if isinstance(backend, EmailBackend):
            backend.timeout = backend.timeout or TIMEOUT_SECONDS
        backend.open()
        self._backend = backend
        if isinstance(backend, EmailBackend):
            smtp: Any = backend.connection
            smtp.ehlo_or_helo_if_needed()
            self._talk = Conversation(smtp, sender=self._from)

    def _forget(self) -> None:
        """Drop a broken connection without a word."""
        if self._talk is not None:
            self._backend.connection.close()
        self._backend = self._talk = None
        self._sent = 0

    def _begin_raw(self, talk: Conversation, envelope: Envelope, then: Envelope | None) -> Outcome | None:
        ready = self._ready
        content = ready[1] if ready is not None and ready[0] is envelope else envelope.as_bytes()
        if then is not None and (
            self._sent + 1 >= MESSAGES_PER_CONNECTION or not mime.is_address(then.address)
        ):
            then = None
        handed_over = False
        try:
            replies = talk.announce(envelope.address)
            if any(code >= 400 for code, _text in replies):
                return self._not_announced(talk, replies)
            handed_over = True
            talk.hand_over(content, then=then.address if then else None)
        except (OSError, smtplib.SMTPException) as error:
            self._forget()
            return Outcome(Answer.UNKNOWN if handed_over else Answer.UNREACHABLE, _describe(error))
        return None

    def _finish(self) -> Outcome:
        assert self._talk is not None
        try:
            code, text = self._talk.verdict()
        except (OSError, smtplib.SMTPException) as error:
            self._forget()
            return Outcome(Answer.UNKNOWN, _describe(error))
        self._sent += 1
        if code == 250:
            return SENT
        return self._refused(code, text)

    def _not_announced(self, talk: Conversation, replies: list[Reply]) -> Outcome:
        """A command was refused: say whose fault it is, and leave the server ready for the next e-mail."""
        place, (code, text) = next((at, reply) for at, reply in enumerate(replies) if reply[0] >= 400)
        try:
            talk.abandon(waits_for_content=replies[-1][0] == 354)
        except (OSError, smtplib.SMTPException):
            self._forget()
        if place == 1 and code >= 500:
            return Outcome(Answer.NO_SUCH_ADDRESS, _line(code, text))
        if place == 0 and code >= 500:
            # our own sender is refused: no fault of the recipient, so wait for staff to mend it
            return Outcome(Answer.TEMPORARY, _line(code, text))
        return self._refused(code, text)

    def _refused(self, code: int, text: bytes | str) -> Outcome:
        if code == 421:
            self._forget()
            return Outcome(Answer.UNREACHABLE, _line(code, text))
        return Outcome(Answer.REFUSED if code >= 500 else Answer.TEMPORARY, _line(code, text))

    def _send_message(self, envelope: Envelope) -> Outcome:
        message = mail.EmailMultiAlternatives(
            subject=envelope.subject,
            body=envelope.text().decode(),
            from_email=mime.from_header(envelope.sender),
            to=[envelope.address],
            headers=dict(envelope.headers()),
            connection=self._backend,
        )
        message.attach_alternative(envelope.html().decode(), "text/html")
        try:
            self._backend.send_messages([message])
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            answer = Answer.NO_SUCH_ADDRESS if code >= 500 else Answer.TEMPORARY
            return Outcome(answer, str(code))
        except smtplib.SMTPResponseException as error:
            return self._refused(error.smtp_code, error.smtp_error or b"")
        except Exception as error:  # a provider's backend raises what it likes, and may have sent
            self._forget()
            return Outcome(Answer.UNKNOWN, _describe(error))
        self._sent += 1
        return SENT


def _line(code: int, text: bytes | str) -> str:
    """The code and the enhanced status alone: the rest of the line may quote the address."""
    words = (text if isinstance(text, str) else text.decode("ascii", "replace")).split()
    status = words[0] if words and re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", words[0]) else ""
    return f"{code} {status}".strip()


def _describe(error: Exception) -> str:
    return type(error).__name__
