"""Names: how they sort (pinyin for Chinese) and by which tokens the people search finds them.

Tokens are exact words of an index, so every prefix a member of staff may type is a token of its own; names are
short, so that is some twenty-five tokens a person. A family name is read as a family name (仇 is Qiu, not Chou), and
found under its other reading as well.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

LONGEST_PREFIX = 12
LONGEST_HAN = 8
# Raise it when `tokens` or `sort_key` change: people are then gone through anew (see services.search_tokens).
VERSION = 2
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]+")
_WORD = re.compile(r"[^\W_]+")
# How a character is read as a family name, where that is not its usual reading.
FAMILY_READINGS = {
    "单": "shan", "單": "shan", "曾": "zeng", "仇": "qiu", "解": "xie", "查": "zha", "任": "ren", "区": "ou",
    "區": "ou", "华": "hua", "華": "hua", "朴": "piao", "盖": "ge", "蓋": "ge", "尉": "wei", "覃": "qin",
    "缪": "miao", "繆": "miao", "乐": "yue", "樂": "yue", "繁": "po", "员": "yun", "員": "yun", "召": "shao",
    "折": "she", "黑": "he", "洗": "xian", "冼": "xian", "隗": "wei", "秘": "bi", "重": "chong", "翟": "zhai",
    "种": "chong", "佴": "nai", "能": "nai", "都": "du", "车": "che", "費": "fei", "万俟": "moqi", "尉迟": "yuchi",
    "尉遲": "yuchi", "长孙": "zhangsun", "長孫": "zhangsun", "澹台": "tantai", "澹臺": "tantai", "单于": "chanyu",
    "单於": "chanyu", "宓": "fu", "逄": "pang", "祭": "zhai", "那": "na", "葛": "ge", "句": "gou", "阚": "kan",
}  # fmt: skip


def fold(text: str) -> str:
    """Case and width folded, accents taken off: how tokens and queries are compared."""
    if text.isascii():
        return text.casefold()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def is_han(text: str) -> bool:
    """Whether there is a Chinese character in it."""
    return _HAN.search(text) is not None


def sort_key(name: str) -> str:
    """The pinyin of a Chinese name, the folded text of any other."""
    found = _HAN.search(name)
    if not found:
        return fold(name)[:200]
    from pypinyin import Style, lazy_pinyin

    if found.start() == 0 and found.end() == len(name) and len(name) <= LONGEST_HAN:
        return " ".join(_readings(name)[0])[:200]
    return fold(" ".join(lazy_pinyin(name, style=Style.NORMAL)))[:200]


def tokens(*names: str) -> list[str]:
    """All tokens of a person's names, sorted. Give the whole name first: how it is read decides on the family
    name."""
    found: set[str] = set()
    for name in names:
        for word in _WORD.findall(fold(name)):
            for run in _runs(word):
                found |= _han_tokens(run) if is_han(run) else _prefixes(run)
    return sorted(found)


def query_tokens(text: str) -> list[str]:
    """The tokens that all must be there for a name to match what staff typed."""
    wanted: set[str] = set()
    for word in _WORD.findall(fold(text)):
        for run in _runs(word):
            if not is_han(run):
                wanted.add(run[:LONGEST_PREFIX])
            elif len(run) <= 2:
                wanted.add(run)
            else:
                wanted |= {run[at : at + 2] for at in range(len(run) - 1)}
    return sorted(wanted)


def _runs(word: str) -> list[str]:
    """The Chinese and the other parts of a word, in their order: 张wei is two."""
    parts: list[str] = []
    at = 0
    for run in _HAN.finditer(word):
        if run.start() > at:
            parts.append(word[at : run.start()])
        parts.append(run.group())
        at = run.end()
    return parts + ([word[at:]] if at < len(word) else [])


def _prefixes(word: str) -> set[str]:
    return {word[:length] for length in range(1, min(len(word), LONGEST_PREFIX) + 1)}


def _han_tokens(run: str) -> set[str]:
    found = set(run) | {run[at : at + 2] for at in range(len(run) - 1)}
    for syllables in _readings(run[:LONGEST_HAN]):
        found |= _prefixes("".join(syllables))
        # The given name alone, as in “weiming” for 张伟明.
        found |= _prefixes("".join(syllables[1:]))
        initials = "".join(part[0] for part in syllables)
        found |= {initials[:length] for length in range(2, len(initials) + 1)}
        found |= {initials[1:]} if len(initials) > 2 else set()
        for syllable in syllables:
            found |= _prefixes(syllable)
    found.discard("")
    return found


@lru_cache(maxsize=20_000)
def _readings(run: str) -> tuple[tuple[str, ...], ...]:
    """How a run of Chinese is read: as a name first, then as plain words, each a tuple of syllables."""
    plain = _plain(run)
    for length in (2, 1):
        family = FAMILY_READINGS.get(run[:length]) if len(run) > length or length == 1 else None
        if family is None:
            continue
        # A compound family name keeps its two syllables only when it is read as a whole.
        rest = plain[length:]
        named = (family, *rest) if length == 1 else (*_split(family), *rest)
        return (named,) if named == plain else (named, plain)
    return (plain,)


def _plain(run: str) -> tuple[str, ...]:
    """A run of Chinese as plain words. Most names hold no word of the dictionary: then each character is read alone,
    which is remembered, and answers the same (tested)."""
    from pypinyin import Style, lazy_pinyin
    from pypinyin.seg.mmseg import p_set

    if any(run[at : at + 2] in p_set for at in range(len(run) - 1)):
        return tuple(fold(part) or "?" for part in lazy_pinyin(run, style=Style.NORMAL))
    return tuple([reading for char in run for reading in _character(char)])


@lru_cache(maxsize=8_000)
def _character(char: str) -> tuple[str, ...]:
    from pypinyin import Style, lazy_pinyin

    return tuple(fold(part) or "?" for part in lazy_pinyin(char, style=Style.NORMAL))


def _split(family: str) -> tuple[str, str]:
    """The two syllables of a compound family name."""
    cut = {"moqi": 2, "yuchi": 2, "zhangsun": 5, "tantai": 3, "chanyu": 4}[family]
    return family[:cut], family[cut:]
