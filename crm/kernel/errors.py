"""Errors that a user of the product may see.

Every refusal is a DomainError with a stable `code`, an HTTP status and, where it helps, the field it is about
and what would have been allowed. The API turns it into problem details, the admin into a message.
"""

from __future__ import annotations

from typing import Any


class DomainError(Exception):
    """A refusal with a stable code; `message` may be a lazy translation."""

    code = "error"
    status = 400

    def __init__(
        self, message: Any, *, code: str | None = None, field: str | None = None, allowed: Any = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.allowed = allowed
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return str(self.message)


class Invalid(DomainError):
    """The input is wrong; the message says what is allowed."""

    code, status = "invalid", 400


class Refused(DomainError):
    """The actor may not do this."""

    code, status = "refused", 403


class NotFound(DomainError):
    """There is no such thing, or the viewer may not know of it."""

    code, status = "not_found", 404


class Conflict(DomainError):
    """The state has moved on; reading again and retrying may help."""

    code, status = "conflict", 409


class Gone(DomainError):
    """It existed and is over: an expired link, an erased person."""

    code, status = "gone", 410


class TooLarge(DomainError):
    """The input is above a limit that the message names."""

    code, status = "too_large", 413


class Unprocessable(DomainError):
    """Well-formed, yet contradicts something said before."""

    code, status = "unprocessable", 422


class Unavailable(DomainError):
    """A server behind us is away; the same call may succeed later."""

    code, status = "unavailable", 503
