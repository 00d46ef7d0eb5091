"""Who did it: the one value that every service takes and every log row stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

KINDS: Final = ("staff", "api_key", "person", "source", "system", "reaction")


@dataclass(frozen=True, slots=True)
class Actor:
    """One of `staff | api_key | person | source | system | reaction` and its id as text."""

    kind: str
    id: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"actor kind {self.kind!r} is none of {', '.join(KINDS)}")

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> Actor:
        """Read `kind:id` as stored. Raises ValueError for anything else."""
        kind, _, ident = text.partition(":")
        return cls(kind, ident)


def staff(user: Any) -> Actor:
    """The signed-in member of staff."""
    return Actor("staff", str(user.pk))


def api_key(key: Any) -> Actor:
    """The program that holds this API key."""
    return Actor("api_key", str(key.pk))


def person(profile_id: int) -> Actor:
    """The end user, by the id of their profile."""
    return Actor("person", str(profile_id))


def source(source_id: int) -> Actor:
    """The event source whose write key was used."""
    return Actor("source", str(source_id))


def system(name: str) -> Actor:
    """A job or command of ours, by name."""
    return Actor("system", name)


def reaction(name: str) -> Actor:
    """A receiver that reacts to a fact, by its name."""
    return Actor("reaction", name)


_namer: Callable[[Iterable[str]], dict[str, str]] | None = None


def set_namer(function: Callable[[Iterable[str]], dict[str, str]]) -> None:
    """Tell how stored actors become names, for a whole page at once. Called by the app that knows the people."""
    global _namer
    _namer = function


def names(texts: Iterable[str]) -> dict[str, str]:
    """Each stored actor with what staff read for it, where that is known."""
    return _namer(texts) if _namer is not None else {}
