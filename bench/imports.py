"""Imports: a long list of people comes in by the command staff run, beside bare COPY of the same rows.

Ours is the run itself, from `start` to `done`: reading the file, deciding who everybody is, and writing profiles,
identities, addresses, consents and members in chunks that are committed one by one. The limit takes exactly the rows
that ours wrote and COPYs them into the same tables, emptied, with the same indexes, keys and triggers. Both sides
write durably, to the same server. Memory is the most that the importing process ever held.

With `BENCH_IMPORT_ROWS=1000000` the list is the million of the goal; by default it is a quarter of it, so that all
benches together stay within three quarters of an hour. Chunks cost the same from the first to the last.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from bench.harness import ROOT, Goal, Stack, say, servers, table

ROWS = int(os.environ.get("BENCH_IMPORT_ROWS", "250000"))
MEMORY_MB = 300
FAMILIES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁"
    "任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴"
    "莫孔向汤"
)
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉萍红建国文辉力志永健世广义兴良海山仁波宁贵福生"
    "龙元全胜学祥才发武新利清飞彬富顺信子涛昌成康星光天达安岩中茂进林有坚和彪博诚先敬震振壮会思群豪心"
    "邦承乐绍功松善厚庆裕河哲江亮政谦亨奇固之轮翰朗伯宏言若鸣朋斌梁栋维启克伦翔旭鹏泽晨辰士以"
)
PROVINCES = ("江苏", "浙江", "广东", "北京", "上海", "四川", "湖北", "山东", "福建", "河南")
# Each table with the columns that an import fills.
TABLES = {
    "crm_profile": "id, public_id, display_name, family_name, given_name, name_sort, search_tokens, language,"
    " time_zone, birthday, country, region, traits, value_sources, created_at",
    "crm_identity": "kind, value, profile_id, source_id, created_at",
    "crm_contactpoint": "profile_id, channel, value, value_hash, origin, is_primary, created_at",
    "crm_consentrecord": "profile_id, purpose, channel, granted, way, text_version, evidence, actor, occurred_at",
    "crm_importmember": "run_id, profile_id, row, is_new",
}


def make_list(path: Path, rows: int) -> None:
    """A list as shops have them: Chinese names, mobiles, most with an e-mail address and some values."""
    chance = random.Random(7)
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write("姓名,手机号,邮箱,生日,省份,积分\n")
        for number in range(rows):
            name = chance.choice(FAMILIES) + "".join(chance.choices(GIVEN, k=chance.choice((1, 2, 2))))
            mobile = f"1{chance.choice('356789')}{number:09d}"
            email = f"fan{number}@mail{number % 50}.example.com" if number % 10 < 7 else ""
            birthday = (
                f"19{chance.randrange(60, 100)}-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}"
            )
            stream.write(
                f"{name},{mobile},{email},{birthday},{chance.choice(PROVINCES)},{chance.randrange(5000)}\n"
            )


def bring_in(system: Stack, path: Path) -> tuple[dict[str, int], float]:
    """Run the command; returns its figures and the most memory it held, in MB."""
    arguments = [
        *(
            sys.executable,
            "manage.py",
            "import_contacts",
            str(path),
            "--source",
            "Bench",
            "--tie-strength",
            "weak",
        ),
        *("--consent-evidence", "Signed at the counter of the shop", "--agreed", "marketing:sms"),
        *("--agreed", "marketing:email"),
    ]
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=system.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    answer = process.stdout.read()
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"import_contacts failed: {answer}")
    return json.loads(answer), usage.ru_maxrss / 1024


def dump(connection: psycopg.Connection, folder: Path) -> None:
    """What the import wrote, as files for COPY."""
    for name, columns in TABLES.items():
        with (
            (folder / name).open("wb") as stream,
            connection.cursor().copy(f"COPY {name} ({columns}) TO STDOUT") as out,
        ):
            for block in out:
                stream.write(block)


def copy_back(connection: psycopg.Connection, folder: Path) -> float:
    """Empty the tables, and COPY the same rows into them: seconds, commit included."""
    connection.execute(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY CASCADE")
    connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM crm_profile")
    connection.execute("CHECKPOINT")
    connection.autocommit = False
    started = time.monotonic()
    for name, columns in TABLES.items():
        with (
            (folder / name).open("rb") as stream,
            connection.cursor().copy(f"COPY {name} ({columns}) FROM STDIN") as into,
        ):
            while block := stream.read(1 << 20):
                into.write(block)
        connection.commit()
    return time.monotonic() - started


def run() -> list[Goal]:
    """Measure, print the table, return the goals."""
    folder = Path(tempfile.mkdtemp(prefix="renxin-bench-import-"))
    folder.chmod(0o711)
    try:
        with servers(folder) as system:
            say(f"a list of {ROWS:,} people")
            path = folder / "fans.csv"
            make_list(path, ROWS)
            with psycopg.connect(system.dsn) as connection:
                connection.execute("CHECKPOINT")
            say("dry run and import")
            figures, memory = bring_in(system, path)
            if figures.get("created") != ROWS:
                raise SystemExit(f"not all of {ROWS} came in: {figures}")
            with psycopg.connect(system.dsn) as connection:
                row = connection.execute(
                    "SELECT extract(epoch FROM finished_at - started_at)::float8, working_seconds,"
                    " extract(epoch FROM checked_at - created_at)::float8 FROM crm_importrun"
                ).fetchone()
                assert row is not None
                _wall, ours, dry = row
                say("bare COPY of the same rows")
                dump(connection, folder)
                connection.commit()
                bare = copy_back(connection, folder)
            table(
                [
                    ("", "rows", "seconds", "rows/s"),
                    ("dry run", ROWS, f"{dry:.1f}", f"{ROWS / max(dry, 0.01):.0f}"),
                    ("import", ROWS, f"{ours:.1f}", f"{ROWS / ours:.0f}"),
                    ("bare COPY", ROWS, f"{bare:.1f}", f"{ROWS / bare:.0f}"),
                    ("memory, MB", "", f"{memory:.0f}", ""),
                ]
            )
        return [
            Goal("import", ROWS / ours, ROWS / bare, 0.3, "contacts/s"),
            Goal("import, memory", memory, float(MEMORY_MB), 1.0, "MB", at_most=True),
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
