"""Taking a person's values out of texts that stay, also out of logs that nothing else may change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from django.db import connection, transaction

MARK: Final = "[…]"


@contextmanager
def permitted() -> Iterator[None]:
    """Inside, and inside this transaction alone, the guards of append-only tables let texts be emptied. They still
    refuse every other change."""
    with transaction.atomic():
        _set("on")
        try:
            yield
        finally:
            if not connection.needs_rollback:
                _set("off")


def _set(value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('renxin.erasing', %s, true)", [value])


def without(text: str, values: Sequence[str]) -> str:
    """The text with every one of these values replaced by a mark, whatever its case."""
    if not values or not text:
        return text
    pattern = "|".join(re.escape(value) for value in sorted(values, key=len, reverse=True))
    return re.sub(pattern, MARK, text, flags=re.IGNORECASE)


def without_deep(value: Any, values: Sequence[str]) -> Any:
    """The same through lists and mappings."""
    if isinstance(value, str):
        return without(value, values)
    if isinstance(value, list):
        return [without_deep(one, values) for one in value]
    if isinstance(value, dict):
        return {name: without_deep(one, values) for name, one in value.items()}
    return value
