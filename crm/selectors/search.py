"""The people search: by name in Chinese, pinyin, initials or Latin, by e-mail, phone or any identifier.

Each word of the query must be found on a person, over all ids that person ever had. Every look-up is an index probe
with a limit, so a word that fits half of all people costs what a rare one costs: then the newest people are looked
at one by one, a bounded number of them. Answers are ranked and say why they match.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import pgettext_lazy

from crm import names
from crm.addresses import address_hash
from crm.rules import FREE_MAIL
from crm.selectors import rules
from crm.states import IdentifierKind

# A word that fits more profiles than this is common: its people are then sought among the newest.
CAP = 200
NEWEST = 3_000
ENOUGH = 50
MOST_WORDS = 6
LONGEST = 120
# Words of addresses that so many people have that the index is not even asked.
_EVERYBODYS = frozenset(f"@{part}" for domain in FREE_MAIL for part in (domain, domain.partition(".")[0]))
_SEPARATORS = re.compile(r"[\s,;，；、]+")
_PHONE = re.compile(r"\+?[0-9][0-9()\-.·]{2,}")
_DIGITS = re.compile(r"[^0-9]")
# Ranks: the smaller the better. Each reason has one.
EXACT, FULL_NAME, ADDRESS, START_OF_NAME, PART_OF_NAME, PART_OF_ADDRESS, COMPANY = range(7)

REASONS = {
    "name": pgettext_lazy("found by", "name"),
    "pinyin": pgettext_lazy("found by", "pinyin"),
    "email_domain": pgettext_lazy("found by", "e-mail domain"),
    "public_id": pgettext_lazy("found by", "public ID"),
    "number": pgettext_lazy("found by", "number"),
}


def reason_label(code: str) -> Any:
    """What staff read for why somebody was found; a kind of identifier is its own reason."""
    if code in REASONS:
        return REASONS[code]
    return IdentifierKind(code).label if code in IdentifierKind.values else code


@dataclass(slots=True)
class Hit:
    """A person that was found: why (codes for `reason_label`), and how well."""

    profile_id: int
    rank: int = COMPANY
    reasons: list[str] = field(default_factory=list)

    def add(self, reason: str, rank: int) -> None:
        """One more reason."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        self.rank = min(self.rank, rank)


@dataclass(frozen=True, slots=True)
class _Word:
    """One word of the query in all the forms in which it may be stored."""

    text: str
    tokens: tuple[str, ...]
    address_words: tuple[str, ...]
    digits: str
    exact: tuple[str, ...]
    hashes: tuple[str, ...]
    prefix: str
    public_id: UUID | None


@dataclass(slots=True)
class _Person:
    """What is looked at to judge a candidate: everything a word may be found in, over all ids. `fits` says for each
    word whether it is in the name."""

    id: int
    public_ids: list[str] = field(default_factory=list)
    name: str = ""
    name_sort: str = ""
    fits: list[bool] = field(default_factory=list)
    addresses: list[tuple[str, str]] = field(default_factory=list)
    identities: list[tuple[str, str]] = field(default_factory=list)


def people(text: str, *, limit: int = 50) -> list[Hit]:
    """The best `limit` live people for what was typed, best first. Empty text finds nobody."""
    text = text.replace("\x00", " ")  # nobody has it, and the database would not take it
    words = _words(text)
    if not words:
        return []
    whole = names.fold(text.strip())
    # Most words that are too common to be looked up are answered by the newest people alone, and cheaply.
    enough = min(limit, ENOUGH)
    newest, common = _newest(words)
    seen = _Seen(words, whole)
    seen.judge(newest)
    if len(seen.hits) < enough:
        seen.judge(_together(words))
    seen.judge(_leading(words, common=common, is_enough=len(seen.hits) >= enough))
    # Of two that match equally well the newer one.
    return sorted(seen.hits.values(), key=lambda hit: (hit.rank, -hit.profile_id))[:limit]


def _leading(words: Sequence[_Word], *, common: set[str], is_enough: bool) -> list[int]:
    """Candidates: one word leads, the others are checked on the people it finds. With `is_enough` only what is
    exactly one of the words."""
    found: list[int] = []
    for word in words:
        ids, is_cut = _candidates(word, common=common, exact_only=is_enough)
        if not is_cut and not is_enough:
            return ids
        found += ids
    return found


class _Seen:
    """The candidates that were looked at, each once, and those of them that have all the words."""

    def __init__(self, words: Sequence[_Word], whole: str) -> None:
        self.words, self.whole = words, whole
        self.hits: dict[int, Hit] = {}
        self._ids: set[int] = set()

    def judge(self, ids: Iterable[int]) -> None:
        """Look at more candidates."""
        new = [ident for ident in dict.fromkeys(ids) if ident not in self._ids]
        self._ids.update(new)
        for person in _load(new, self.words):
            hit = _judge(person, self.words, whole=self.whole)
            if hit is not None:
                self.hits[person.id] = hit


def _words(text: str) -> list[_Word]:
    whole = text.strip()[:LONGEST]
    compact = re.sub(r"\s+", "", whole)
    # A phone number is one word, however it is grouped.
    pieces = [compact] if _PHONE.fullmatch(compact) else _SEPARATORS.split(whole)
    return [_word(piece) for piece in pieces[:MOST_WORDS] if piece]


def _word(text: str) -> _Word:
    folded = names.fold(text)
    digits = _DIGITS.sub("", text) if _PHONE.fullmatch(text) else ""
    address_words: list[str] = []
    if digits:
        if len(digits) >= 4:
            address_words.append(digits[-8:])
    elif not names.is_han(folded):
        bare = folded.strip("@.")
        if folded.startswith("@") or "." in bare:
            address_words.append(f"@{bare}")
        if "@" not in folded:
            address_words += [bare, f"@{bare}"]
    email = rules.normalise("email", text)
    phone = rules.normalise("phone", text) if digits else None
    exact = tuple(dict.fromkeys(value for value in (text, folded, email, phone) if value))
    hashes = [address_hash("email", email)] if email else []
    hashes += [address_hash("sms", phone)] if phone else []
    prefix = ""
    if len(digits) >= 5 and not text.startswith("+"):
        region = rules.phone_prefix()
        prefix = f"{region}{digits.lstrip('0')}" if region else ""
    elif len(text) >= 4 and text.isascii():
        prefix = folded if "@" in text else text
    return _Word(
        text=folded,
        tokens=tuple(names.query_tokens(text)) if "@" not in text and not digits else (),
        address_words=tuple(dict.fromkeys(word for word in address_words if len(word) > 1)),
        digits=digits,
        exact=exact,
        hashes=tuple(hashes),
        prefix=prefix,
        public_id=_uuid(text),
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) >= 32 else None
    except ValueError:
        return None


def _candidates(word: _Word, *, common: set[str], exact_only: bool) -> tuple[list[int], bool]:
    """Profiles (any id of a person) that a word may mean, and whether there are more than were read. `common` are
    words that so many addresses have that listing them would cost more than it tells."""
    parts, params = [], []
    if word.tokens and not exact_only:
        parts.append("(SELECT id, 1 AS part FROM crm_profile WHERE search_tokens @> %s::text[] LIMIT %s)")
        params += [list(word.tokens), CAP]
    is_common = word.text in common or bool(_EVERYBODYS.intersection(word.address_words))
    if word.address_words and not is_common and not exact_only:
        parts.append(
            "(SELECT profile_id, 2 FROM crm_contactpoint WHERE channel IN ('email', 'sms')"
            " AND crm_address_words(channel::text, value::text) && %s::text[] LIMIT %s)"
        )
        params += [list(word.address_words), CAP]
    if word.hashes:
        parts.append(
            "(SELECT profile_id, 3 FROM crm_contactpoint WHERE channel IN ('email', 'sms')"
            " AND value_hash = ANY(%s) LIMIT %s)"
        )
        params += [list(word.hashes), CAP]
    # Of whatever kind: the kinds are few, so the index on (kind, value) is skipped through.
    parts.append("(SELECT profile_id, 3 FROM crm_identity WHERE value = ANY(%s) LIMIT 50)")
    params.append(list(word.exact))
    if word.prefix:
        for kind in ("email", "phone", "user_id"):
            if (kind == "phone") == bool(word.digits) or kind == "user_id":
                parts.append(
                    "(SELECT profile_id, 4 FROM crm_identity WHERE kind = %s AND value >= %s AND value < %s"
                    " LIMIT 50)"
                )
                params += [kind, word.prefix, word.prefix + "\U0010ffff"]
    if word.public_id is not None:
        parts.append("(SELECT id, 3 FROM crm_profile WHERE public_id = %s)")
        params.append(word.public_id)
    if word.text.removeprefix("#").isdigit() and len(word.text) < 18:
        parts.append("(SELECT id, 3 FROM crm_profile WHERE id = %s)")
        params.append(int(word.text.removeprefix("#")))
    rows = _probe(" UNION ALL ".join(parts), params)
    counts = [sum(part == number for _id, part in rows) for number in (1, 2)]
    return list(dict.fromkeys(row[0] for row in rows)), is_common or max(counts) >= CAP


def _together(words: Sequence[_Word]) -> list[int]:
    """Profiles whose name has all the words: one probe of the index, however common each word is."""
    tokens = sorted({token for word in words for token in word.tokens})
    if len(words) < 2 or not all(word.tokens for word in words):
        return []
    rows = _probe("SELECT id FROM crm_profile WHERE search_tokens @> %s::text[] LIMIT %s", [tokens, CAP])
    return [row[0] for row in rows]


def _newest(words: Sequence[_Word]) -> tuple[list[int], set[str]]:
    """Of the newest people those whose name or address may fit: when every word is common, they are many. And the
    words that are common in their addresses, for what is true of the newest is true of most."""
    samples: list[str] = []
    parts: list[str] = []
    params: list[Any] = []
    values: list[Any] = []
    tokens = sorted({token for word in words for token in word.tokens})
    if tokens:
        samples.append(
            "people AS (SELECT id, search_tokens AS found FROM crm_profile ORDER BY id DESC LIMIT %s)"
        )
        params.append(NEWEST)
        # Whose name has all the words, and whose has one of them: the others may be in the address.
        for wanted in dict.fromkeys((tuple(tokens), *(word.tokens for word in words if word.tokens))):
            parts.append("(SELECT id, 0 FROM people WHERE found @> %s::text[] LIMIT %s)")
            values += [list(wanted), CAP]
    addressed = [word for word in words if word.address_words]
    if addressed:
        samples.append(
            "addresses AS MATERIALIZED (SELECT profile_id, crm_address_words(channel::text, value::text) AS found"
            " FROM (SELECT profile_id, channel, value FROM crm_contactpoint ORDER BY id DESC LIMIT %s) AS c)"
        )
        params.append(NEWEST)
        for number, word in enumerate(addressed, 1):
            parts.append(f"(SELECT profile_id, {number} FROM addresses WHERE found && %s::text[] LIMIT %s)")
            values += [list(word.address_words), CAP]
    if not parts:
        return [], set()
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {', '.join(samples)} {' UNION ALL '.join(parts)}", params + values)
        rows = cursor.fetchall()
    counts = Counter(number for _id, number in rows)
    common = {word.text for number, word in enumerate(addressed, 1) if counts[number] >= CAP}
    return [row[0] for row in rows], common


def _probe(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run look-ups that must use their indexes: the planner trusts its statistics of words to find common ones soon
    by reading the table, and reads all of it when they all lie at its end."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('enable_seqscan', 'off', true)")
        cursor.execute(sql, params)
        return cursor.fetchall()


def _load(ids: Iterable[int], words: Sequence[_Word]) -> list[_Person]:
    """Everything to judge the people behind these profiles by, over all their ids; erased ones are left out."""
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return []
    found: dict[int, _Person] = {}
    root_of: dict[int, int] = {}
    fits = ", ".join("p.search_tokens @> %s::text[]" if word.tokens else "false" for word in words)
    tokens = [list(word.tokens) for word in words if word.tokens]
    columns = f"p.id, r.id, p.public_id::text, p.display_name, p.name_sort, ARRAY[{fits}]"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH root AS (SELECT DISTINCT COALESCE(merged_into_id, id) AS id FROM crm_profile WHERE id = ANY(%s))
            SELECT {columns} FROM root r JOIN crm_profile p ON p.id = r.id WHERE p.erased_at IS NULL
            UNION ALL
            SELECT {columns} FROM root r JOIN crm_profile p ON p.merged_into_id = r.id WHERE p.erased_at IS NULL
            """,
            [wanted, *tokens, *tokens],
        )
        for profile_id, root_id, public_id, name, name_sort, in_name in cursor.fetchall():
            person = found.setdefault(root_id, _Person(root_id))
            root_of[profile_id] = root_id
            person.public_ids.append(public_id)
            if profile_id == root_id:
                person.name, person.name_sort, person.fits = name, name_sort, in_name
        members = list(root_of)
        cursor.execute(
            "SELECT profile_id, channel, value FROM crm_contactpoint WHERE profile_id = ANY(%s)"
            " AND channel IN ('email', 'sms')"
            " UNION ALL SELECT profile_id, kind, value FROM crm_identity WHERE profile_id = ANY(%s)",
            [members, members],
        )
        for profile_id, kind, value in cursor.fetchall():
            person = found[root_of[profile_id]]
            (person.addresses if kind in ("email", "sms") else person.identities).append((kind, value))
    return list(found.values())


def _judge(person: _Person, words: Sequence[_Word], *, whole: str) -> Hit | None:
    """The reasons of all words, or None when one of them is nowhere on this person."""
    hit = Hit(person.id)
    for word, in_name in zip(words, person.fits, strict=False):
        if not _find(person, word, hit, in_name=in_name):
            return None
    if not hit.reasons:
        return None
    if whole and names.fold(person.name) == whole:
        hit.rank = min(hit.rank, FULL_NAME)
    return hit


def _find(person: _Person, word: _Word, hit: Hit, *, in_name: bool) -> bool:
    found = in_name
    if in_name:
        folded = names.fold(person.name)
        if names.is_han(word.text) or not names.is_han(folded):
            hit.add("name", START_OF_NAME if folded.startswith(word.text) else PART_OF_NAME)
        elif person.name_sort.replace(" ", "").startswith(word.text):
            hit.add("pinyin", START_OF_NAME)
        else:
            hit.add("pinyin", PART_OF_NAME)
    for kind, value in (*person.addresses, *person.identities):
        rank = _matches(kind, value, word)
        if rank is not None:
            found = True
            label = {"sms": "phone"}.get(kind, kind)
            hit.add("email_domain" if rank == COMPANY and kind == "email" else label, rank)
    if word.public_id is not None and str(word.public_id) in person.public_ids:
        found = True
        hit.add("public_id", EXACT)
    if word.text.removeprefix("#") == str(person.id):
        found = True
        hit.add("number", EXACT)
    return found


def _matches(kind: str, value: str, word: _Word) -> int | None:
    """How well a word fits an address or identifier; None when it does not."""
    if value in word.exact:
        return EXACT if kind not in ("email", "sms", "phone") else ADDRESS
    if kind in ("sms", "phone"):
        if len(word.digits) < 4:
            return None
        if value.endswith(word.digits):
            return PART_OF_ADDRESS
        return PART_OF_ADDRESS if word.prefix and value.startswith(word.prefix) else None
    if kind == "email":
        local, _at, domain = value.partition("@")
        if word.prefix and value.startswith(word.prefix):
            return PART_OF_ADDRESS
        if word.text in (local, *re.split(r"[._+\-]", local)):
            return PART_OF_ADDRESS
        if {f"@{domain}", f"@{domain.partition('.')[0]}"} & set(word.address_words):
            return COMPANY
        return None
    return PART_OF_ADDRESS if kind == "user_id" and word.prefix and value.startswith(word.prefix) else None
