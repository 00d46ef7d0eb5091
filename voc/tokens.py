"""Cutting a text into the tokens by which similar texts are found. Pure Python.

Chinese has no spaces, so a run of Han characters becomes its overlapping pairs ("客户服务" -> 客户, 户服, 服务); words
in Latin letters and numbers become tokens as they are. Full-width forms and case are folded first.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_TOKENS: Final = 300
_RUNS = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]+|[^\W_]+", re.UNICODE)
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
STOP_WORDS: Final = frozenset(
    (
        *(
            "a",
            "an",
            "and",
            "are",
            "as",
            "at",
            "be",
            "but",
            "by",
            "can",
            "do",
            "does",
            "for",
            "from",
            "had",
            "has",
        ),
        *(
            "have",
            "i",
            "if",
            "in",
            "is",
            "it",
            "its",
            "me",
            "my",
            "no",
            "not",
            "of",
            "on",
            "or",
            "our",
            "so",
            "that",
        ),
        *(
            "the",
            "their",
            "them",
            "then",
            "there",
            "they",
            "this",
            "to",
            "was",
            "we",
            "were",
            "when",
            "which",
        ),
        *("with", "you", "your"),
    )
)


def cut(text: str) -> list[str]:
    """The distinct tokens of a text in order of appearance, at most MAX_TOKENS."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    found: dict[str, None] = {}
    for run in _RUNS.findall(folded):
        for token in _tokens_of(run):
            found.setdefault(token)
        if len(found) >= MAX_TOKENS:
            break
    return list(found)[:MAX_TOKENS]


def _tokens_of(run: str) -> list[str]:
    if not _HAN.match(run):
        # A Latin run may still hold Han characters ("abc订单"): cut it at the border.
        if _HAN.search(run):
            return [
                token for part in re.split(f"({_HAN.pattern}+)", run) if part for token in _tokens_of(part)
            ]
        return [run[:40]] if run not in STOP_WORDS and (len(run) > 1 or run.isdigit()) else []
    if len(run) == 1:
        return [run]
    return [run[index : index + 2] for index in range(len(run) - 1)]
