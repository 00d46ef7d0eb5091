"""Names: how they sort (pinyin for Chinese) and by which tokens the people search finds them.

Tokens are exact words of an index, so every prefix a member of staff may type is a token of its own; names are
short, so that is some twenty tokens a person.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST_PREFIX = 12
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]+")
_WORD = re.compile(r"[^\W_]+")


def fold(text: str) -> str:
    """Case and width folded, accents taken off: how tokens and queries are compared."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def sort_key(name: str) -> str:
    """The pinyin of a Chinese name, the folded text of any other."""
    if not _HAN.search(name):
        return fold(name)[:200]
    from pypinyin import Style, lazy_pinyin

    return fold(" ".join(lazy_pinyin(name, style=Style.NORMAL)))[:200]


def tokens(*names: str) -> list[str]:
    """All tokens of a person's names, sorted."""
    found: set[str] = set()
    for name in names:
        for word in _WORD.findall(fold(name)):
            for han in _HAN.findall(word):
                found |= _han_tokens(han)
            if not _HAN.search(word):
                found |= _prefixes(word)
    return sorted(found)


def query_tokens(text: str) -> list[str]:
    """The tokens that all must be there for a name to match what staff typed."""
    wanted: set[str] = set()
    for word in _WORD.findall(fold(text)):
        runs = _HAN.findall(word)
        for run in runs:
            wanted |= {run} if len(run) <= 2 else {run[at : at + 2] for at in range(len(run) - 1)}
        if not runs:
            wanted.add(word[:LONGEST_PREFIX])
    return sorted(wanted)


def _prefixes(word: str) -> set[str]:
    return {word[:length] for length in range(1, min(len(word), LONGEST_PREFIX) + 1)}


def _han_tokens(run: str) -> set[str]:
    from pypinyin import Style, lazy_pinyin

    syllables = [fold(part) for part in lazy_pinyin(run[:8], style=Style.NORMAL)]
    found = set(run) | {run[at : at + 2] for at in range(len(run) - 1)}
    found |= _prefixes("".join(syllables)) | {"".join(part[0] for part in syllables if part)}
    for syllable in syllables:
        found |= _prefixes(syllable)
    return found
