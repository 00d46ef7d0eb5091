"""A million people and twenty million touchpoints, by COPY, in minutes.

The skew is that of a shop: a few people are seen thousands of times, half of all people less than a handful of
times; activity grows towards today; surnames are as unevenly spread as in life; one in a hundred profiles was merged
into another. Touchpoints lie in their month in the order in which they happened, as they do after a year of
operation, so a person's history is spread over many pages. Left out, because no read needs them: event receipts
and the context of events.

`python -m bench.seed --people N --touchpoints M --data-dir DIR` fills a folder and leaves it for other uses;
`fill()` fills the database of a running system,
`million()` is the folder that the benches share. The database must hold no touchpoints yet.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import io
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from bench.harness import say
from crm import names
from crm.addresses import address_hash

MILLION = (1_000_000, 20_000_000)
MONTHS = 24
NAMES = 40_000
POOL = 4_000
CHUNK = 50_000
LOADERS = 2
SURNAMES = (
    "李王张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎"
    "余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
)
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰建国志海燕文辉鹏飞红梅晓东春生宇浩然子轩雨桐欣怡"
    "佳琪思远梦瑶俊博天佑一诺可馨"
)
LATIN_FIRST = (
    "Ava", "Ben", "Carla", "Diego", "Emma", "Farid", "Grace", "Hugo", "Ines", "Jonas",
    "Kira", "Liam", "Mona", "Nils", "Olga", "Pablo", "Quinn", "Rosa", "Sven", "Tara",
)  # fmt: skip
LATIN_LAST = (
    "Abbott", "Becker", "Costa", "Duarte", "Eriksen", "Fischer", "Garnier", "Hansen", "Ivers", "Jensen",
    "Keller", "Lindqvist", "Moreau", "Novak", "Olsen", "Petrov", "Quist", "Rossi", "Sato", "Turner",
)  # fmt: skip
KINDS = (
    ("Product Viewed", 0.46, "consideration"),
    ("Page Viewed", 0.25, "awareness"),
    ("Product Added", 0.10, "consideration"),
    ("Order Completed", 0.08, "decision"),
    ("lifecycle.message.sent", 0.07, ""),
    ("App Opened", 0.04, "retention"),
)
# Tables that are loaded; their plain indexes are made again afterwards, which is many times faster.
LOADED = ("crm_profile", "crm_identity", "crm_contactpoint", "crm_consentrecord", "crm_mergerecord")


def fill(dsn: str, *, people: int, touchpoints: int, source_id: int, now: datetime, seed: int = 7) -> None:
    """Fill the database of `dsn` (its owner must be a superuser: triggers rest while it loads)."""
    chance = np.random.default_rng(seed)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        first = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM crm_profile").fetchone()[0]
        counts = _activity(chance, people, touchpoints)
        started, ended = _lives(chance, people, now)
        with _without_indexes(connection, LOADED):
            merged = _people(connection, chance, first=first, started=started, ended=ended)
            _identities(connection, chance, first=first, people=people, source_id=source_id, now=now)
            _contacts_and_consents(connection, chance, first=first, people=people, now=now)
            _merges(connection, merged, now=now)
            for table in LOADED:
                connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}) + 1)"
                )
            say(f"{people:,} people; indexes")
    _touchpoints(dsn, chance, counts, started, ended, first=first, source_id=source_id)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO crm_touchpointtally (received_on, source_id, kind, count) "
            "SELECT (received_at AT TIME ZONE 'UTC')::date, coalesce(source_id, 0), kind, count(*) "
            "FROM crm_touchpoint WHERE occurred_at > '-infinity' GROUP BY 1, 2, 3 "
            "ON CONFLICT (received_on, source_id, kind) DO UPDATE SET count = excluded.count"
        )
        say("statistics")
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


def _activity(chance: np.random.Generator, people: int, touchpoints: int) -> np.ndarray:
    """How many touchpoints each person has: a heavy tail, cut at 5,000, summing to what was asked."""
    weight = np.minimum(chance.pareto(1.1, people) + 0.05, 2_000)
    counts = np.minimum((weight * (touchpoints / weight.sum())).astype(np.int64), 5_000)
    missing = touchpoints - int(counts.sum())
    counts += np.bincount(chance.integers(0, people, max(missing, 0)), minlength=people)
    return counts


def _lives(chance: np.random.Generator, people: int, now: datetime) -> tuple[np.ndarray, np.ndarray]:
    """First and last moment of each person, in milliseconds of Unix time."""
    last = int(now.timestamp() * 1000)
    span = MONTHS * 30 * 86_400_000
    started = last - (span * chance.random(people) ** 0.7).astype(np.int64)
    ended = started + ((last - started) * np.sqrt(chance.random(people))).astype(np.int64)
    return started, ended


def _people(
    connection: psycopg.Connection,
    chance: np.random.Generator,
    *,
    first: int,
    started: np.ndarray,
    ended: np.ndarray,
) -> np.ndarray:
    """Profiles. Returns pairs (loser, winner) of ids: one in a hundred was merged into somebody older."""
    people = len(started)
    pool = [_name_columns(name) for name in _names(chance)]
    popular = np.minimum((NAMES * chance.random(people) ** 2.2).astype(int), NAMES - 1).tolist()
    zones = ("Asia/Shanghai", "Asia/Shanghai", "Asia/Shanghai", "America/New_York", "Europe/Berlin", "")
    places = (
        ("CN", "Zhejiang"), ("CN", "Guangdong"), ("CN", "Shanghai"), ("US", "NY"), ("DE", "Berlin"), ("", ""),
    )  # fmt: skip
    lot = chance.integers(0, len(zones), people).tolist()
    plans = ("free", "free", "free", "plus", "pro")
    plan = chance.integers(0, len(plans), people).tolist()
    losers = np.flatnonzero(chance.random(people) < 0.01)
    losers = losers[losers > 100]
    is_loser = np.zeros(people, dtype=bool)
    is_loser[losers] = True
    winners = np.array(
        [_root_before(is_loser, int(guess)) for guess in chance.integers(0, np.maximum(losers, 1))], int
    )
    into = dict(zip(losers.tolist(), winners.tolist(), strict=True))
    since, until = _moments(started), _moments(ended)
    columns = (
        "id, display_name, family_name, given_name, name_sort, search_tokens, language, time_zone, country, "
        "region, traits, merged_into_id, first_seen_at, last_seen_at, created_at"
    )

    def lines() -> Iterator[str]:
        for n in range(people):
            country, region = places[lot[n]]
            winner = str(first + into[n]) if n in into else "\\N"
            language = "zh-hans" if country == "CN" else "en" if country else ""
            yield (
                f"{first + n}\t{pool[popular[n]]}\t{language}\t{zones[lot[n]]}\t{country}\t{region}\t"
                f'{{"plan": "{plans[plan[n]]}", "score": {n % 100}}}\t{winner}\t{since[n]}\t{until[n]}\t{since[n]}\n'
            )

    _copy(connection, f"COPY crm_profile ({columns}) FROM STDIN", lines())
    return np.column_stack((losers, winners)) + first


def _root_before(is_loser: np.ndarray, guess: int) -> int:
    while is_loser[guess]:
        guess -= 1
    return guess


def _names(chance: np.random.Generator) -> list[str]:
    """Distinct names, the commonest surnames first: four in five are Chinese."""
    made: dict[str, None] = {}
    while len(made) < NAMES:
        if chance.random() < 0.8:
            family = SURNAMES[min(int(len(SURNAMES) * chance.random() ** 2), len(SURNAMES) - 1)]
            picks = chance.integers(0, len(GIVEN), 1 if chance.random() < 0.2 else 2)
            made[family + "".join(GIVEN[int(pick)] for pick in picks)] = None
        else:
            one, two = chance.integers(0, len(LATIN_FIRST)), chance.integers(0, len(LATIN_LAST))
            made[f"{LATIN_FIRST[int(one)]} {LATIN_LAST[int(two)]} {len(made)}"] = None
    return list(made)


def _name_columns(name: str) -> str:
    chinese = " " not in name
    family, given = (name[0], name[1:]) if chinese else (name.split()[1], name.split()[0])
    tokens = "{" + ",".join(f'"{token}"' for token in names.tokens(name)) + "}"
    return f"{name}\t{family}\t{given}\t{names.sort_key(name)}\t{tokens}"


def _identities(
    connection: psycopg.Connection,
    chance: np.random.Generator,
    *,
    first: int,
    people: int,
    source_id: int,
    now: datetime,
) -> None:
    lot = chance.random((people, 3))
    tail = f"\t{source_id}\t{now.isoformat()}\n"

    def lines() -> Iterator[str]:
        for n, (known, with_phone, with_device) in enumerate(lot.tolist()):
            if known < 0.8:
                yield f"user_id\tcustomer-{n:07d}\t{first + n}{tail}email\tperson{n}@mail.example\t{first + n}{tail}"
            if with_phone < 0.6:
                yield f"phone\t{_phone(n)}\t{first + n}{tail}"
            if with_device < 0.5 or (known >= 0.8 and with_phone >= 0.6):
                yield f"anonymous_id\tvisitor-{n:07d}\t{first + n}{tail}"

    _copy(
        connection, "COPY crm_identity (kind, value, profile_id, source_id, created_at) FROM STDIN", lines()
    )


def _phone(number: int) -> str:
    return f"+86138{number % 100_000_000:08d}"


def _contacts_and_consents(
    connection: psycopg.Connection, chance: np.random.Generator, *, first: int, people: int, now: datetime
) -> None:
    lot = chance.random((people, 3)).tolist()

    def contacts() -> Iterator[str]:
        for n, (with_email, with_phone, _yes) in enumerate(lot):
            for channel, value in (
                *((("email", f"person{n}@mail.example"),) if with_email < 0.8 else ()),
                *((("sms", _phone(n)),) if with_phone < 0.6 else ()),
            ):
                digest = address_hash.__wrapped__(channel, value)
                yield f"{first + n}\t{channel}\t{value}\t{digest}\tserver\tt\t{now.isoformat()}\n"

    _copy(
        connection,
        "COPY crm_contactpoint (profile_id, channel, value, value_hash, origin, is_primary, created_at) FROM STDIN",
        contacts(),
    )

    def consents() -> Iterator[str]:
        for n, (_email, _phone_lot, yes) in enumerate(lot):
            if yes < 0.5:
                granted = "t" if yes < 0.42 else "f"
                yield f"{first + n}\tmarketing\temail\t{granted}\tform\tv1\t{{}}\tsystem:seed\t{now.isoformat()}\n"

    _copy(
        connection,
        "COPY crm_consentrecord (profile_id, purpose, channel, granted, way, text_version, evidence, actor, "
        "occurred_at) FROM STDIN",
        consents(),
    )


def _merges(connection: psycopg.Connection, pairs: np.ndarray, *, now: datetime) -> None:
    _copy(
        connection,
        "COPY crm_mergerecord (loser_id, winner_id, cause, changes, actor, created_at, undone_by) FROM STDIN",
        (
            f"{loser}\t{winner}\tevent\t{{}}\tsystem:seed\t{now.isoformat()}\t\n"
            for loser, winner in pairs.tolist()
        ),
    )


def _touchpoints(
    dsn: str,
    chance: np.random.Generator,
    counts: np.ndarray,
    started: np.ndarray,
    ended: np.ndarray,
    *,
    first: int,
    source_id: int,
) -> None:
    """Months side by side in two processes, each in a table of its own that is attached when it is complete."""
    person = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    moment = started[person] + (
        (ended - started)[person] * chance.random(len(person), dtype=np.float32) ** 0.8
    ).astype(np.int64)
    order = np.argsort(moment, kind="stable")
    person, moment = person[order], moment[order]
    del order
    what = chance.integers(0, POOL, len(person), dtype=np.int16)
    month_of = moment.astype("datetime64[ms]").astype("datetime64[M]")
    months = np.unique(month_of)
    jobs = [
        (
            str(month),
            int(np.searchsorted(month_of, month)),
            int(np.searchsorted(month_of, month, side="right")),
        )
        for month in months
    ]
    del month_of
    pool = _events(chance, source_id)
    context = multiprocessing.get_context("fork")

    def load(mine: Sequence[tuple[str, int, int]]) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("SET maintenance_work_mem = '256MB'")
            for month, lower, upper in mine:
                _month(
                    connection,
                    month,
                    person[lower:upper],
                    moment[lower:upper],
                    what[lower:upper],
                    pool,
                    first,
                )
                say(f"{upper - lower:,} touchpoints of {month}")

    loaders = [context.Process(target=load, args=(jobs[n::LOADERS],)) for n in range(LOADERS)]
    for loader in loaders:
        loader.start()
    for loader in loaders:
        loader.join()
    if any(loader.exitcode for loader in loaders):
        raise SystemExit("loading touchpoints failed; see above")


def _month(
    connection: psycopg.Connection,
    month: str,
    person: np.ndarray,
    moment: np.ndarray,
    what: np.ndarray,
    pool: list[str],
    first: int,
) -> None:
    year, number = int(month[:4]), int(month[5:7])
    table = f"crm_touchpoint_y{year:04d}m{number:02d}"
    start = f"{year:04d}-{number:02d}-01 00:00:00+00"
    end = f"{year + number // 12:04d}-{number % 12 + 1:02d}-01 00:00:00+00"
    there = connection.execute("SELECT to_regclass(%s)", [table]).fetchone()[0]
    if there:
        connection.execute(f"ALTER TABLE crm_touchpoint DETACH PARTITION {table}")
        connection.execute(f"DROP TABLE {table}")
    connection.execute(f"CREATE TABLE {table} (LIKE crm_touchpoint INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    connection.execute(f"ALTER TABLE {table} ALTER COLUMN id SET DEFAULT uuidv7()")

    def blocks() -> Iterator[str]:
        for at in range(0, len(person), CHUNK):
            part = slice(at, at + CHUNK)
            ids, times = (person[part] + first).tolist(), _moments(moment[part])
            events = what[part].tolist()
            yield "".join([f"{i}\t{t}\t{t}\t{pool[w]}" for i, t, w in zip(ids, times, events, strict=True)])

    _copy(
        connection,
        f"COPY {table} (profile_id, occurred_at, received_at, kind, channel, source_id, stage, properties) FROM STDIN",
        blocks(),
        piece=1,
    )
    connection.execute(f"ALTER TABLE {table} ALTER COLUMN id DROP DEFAULT")
    connection.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (profile_id, occurred_at, id)")
    connection.execute(
        f"ALTER TABLE crm_touchpoint ATTACH PARTITION {table} FOR VALUES FROM ('{start}') TO ('{end}')"
    )


def _events(chance: np.random.Generator, source_id: int) -> list[str]:
    """What happened, as the tail of a COPY line: a pool to draw from."""
    made = []
    for index in chance.choice(len(KINDS), POOL, p=[share for _kind, share, _stage in KINDS]).tolist():
        kind, _share, stage = KINDS[index]
        price = round(float(chance.lognormal(4.2, 0.8)), 2)
        properties: dict[str, Any] = {
            "product_id": f"sku-{int(chance.integers(0, 500))}",
            "category": ("books", "tea", "lamps")[int(chance.integers(0, 3))],
            "price": price,
            "currency": "CNY",
        }
        if kind == "Order Completed":
            properties |= {"order_id": f"o-{int(chance.integers(0, 10**9))}", "revenue": price}
        elif kind in ("Page Viewed", "App Opened"):
            properties = {"path": f"/p/{int(chance.integers(0, 300))}"}
        channel = "email" if kind.startswith("lifecycle.") else "web"
        made.append(f"{kind}\t{channel}\t{source_id}\t{stage}\t{json.dumps(properties)}\n")
    return made


def _moments(milliseconds: np.ndarray) -> list[str]:
    """ISO texts with their zone."""
    return np.datetime_as_string(milliseconds.astype("datetime64[ms]"), timezone="UTC").tolist()


def _copy(
    connection: psycopg.Connection, statement: str, lines: Iterator[str], *, piece: int = 5_000
) -> None:
    """Send lines in pieces: one write per line would be slower than the server."""
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        buffer = io.StringIO()
        for number, line in enumerate(lines, 1):
            buffer.write(line)
            if number % piece == 0:
                copy.write(buffer.getvalue())
                buffer = io.StringIO()
        copy.write(buffer.getvalue())


@contextlib.contextmanager
def _without_indexes(connection: psycopg.Connection, tables: Sequence[str]) -> Iterator[None]:
    """Drop the indexes that belong to no constraint, and make them again."""
    found = connection.execute(
        "SELECT c.relname, pg_get_indexdef(c.oid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_class t ON t.oid = i.indrelid WHERE t.relname = ANY(%s) AND NOT i.indisunique "
        "AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = c.oid)",
        [list(tables)],
    ).fetchall()
    for name, _definition in found:
        connection.execute(f'DROP INDEX "{name}"')
    try:
        yield
    finally:
        connection.execute("SET maintenance_work_mem = '512MB'")
        for _name, definition in found:
            connection.execute(definition)


def million() -> Path:
    """The folder of a million people and twenty million touchpoints: the one that RENXIN_BENCH_MILLION names, which
    is used and kept; else one that is filled once for all benches of this process, and removed at its end."""
    kept = os.environ.get("RENXIN_BENCH_MILLION")
    return Path(kept) if kept else _made()


@cache
def _made() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="renxin-bench-million-"))
    folder.chmod(0o711)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    people, touchpoints = MILLION
    say(f"filling {people:,} people, {touchpoints:,} touchpoints")
    fill_folder(folder, people=people, touchpoints=touchpoints)
    return folder


def fill_folder(folder: Path, *, people: int, touchpoints: int) -> None:
    """Start the servers of a folder, prepare them, seed, stop them."""
    from bench.harness import servers

    with servers(folder) as system:
        began = time.monotonic()
        fill(
            system.dsn,
            people=people,
            touchpoints=touchpoints,
            source_id=system.source("Seed shop"),
            now=datetime.now(tz=UTC) - timedelta(minutes=5),
        )
        say(f"{touchpoints:,} touchpoints in {time.monotonic() - began:.0f} s")


def main(arguments: Sequence[str]) -> int:
    """Fill a folder and leave it."""
    parser = argparse.ArgumentParser(prog="python -m bench.seed")
    parser.add_argument("--people", type=int, default=MILLION[0])
    parser.add_argument("--touchpoints", type=int, default=MILLION[1])
    parser.add_argument("--data-dir", type=Path, required=True)
    options = parser.parse_args(arguments)
    os.environ["DATA_DIR"] = str(options.data_dir)
    fill_folder(options.data_dir, people=options.people, touchpoints=options.touchpoints)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
