"""One running system for the fault tests: `manage.py up` on a folder that survives it, a slow mail server beside
it, people let in through the door, tickets they follow, and releases that ship by HTTP.

Everything is seen from outside: over HTTP, in the log of the mail server, and in the database by a connection of
our own. Processes are ended by their pid, and only those that this house has started.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from config import processes
from tests import servers

MAIL_SECONDS = 0.02  # for one e-mail
LEASE_SECONDS = 4
PATIENCE = 120.0


class House:
    """A folder, the system running on it (or not), and the mail server it writes to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stacks = contextlib.ExitStack()
        self.mail_log = folder / "accepted.log"
        self.mail_log.touch()
        self.mail_pace = folder / "pace"
        self.set_pace(MAIL_SECONDS)
        self.sink = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name("sink.py")),
                str(self.mail_log),
                str(self.mail_pace),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.sink.stdout is not None
        self.mail_port = int(self.sink.stdout.readline())
        self._stack: servers.Stack | None = None
        self.write_key = self.api_key = ""

    # -- running

    @property
    def stack(self) -> servers.Stack:
        assert self._stack is not None, "the house is not running"
        return self._stack

    def start(self, *, wait: bool = True) -> None:
        """Start the system on this folder, beside whatever a killed one has left there."""
        self._stack = self.stacks.enter_context(
            servers.durable_stack(
                data_dir=self.folder, wait=wait, EMAIL_URL=f"smtp://127.0.0.1:{self.mail_port}"
            )
        )

    def set_pace(self, seconds: float) -> None:
        """How long the mail server takes for one e-mail from now on."""
        draft = self.mail_pace.with_suffix(".new")
        draft.write_text(str(seconds))
        draft.replace(self.mail_pace)

    def ready(self) -> None:
        """Running, with keys and short leases, and a worker that takes tasks."""
        if self._stack is None or self.stack.process.poll() is not None:
            self.start()
        if not self.api_key:
            self.write_key, self.api_key = self.script(_FURNISH, lease=LEASE_SECONDS)
        self.set_pace(MAIL_SECONDS)
        self.stack.wait_ready()
        self.stack.wait_worker()

    def close(self) -> None:
        """End everything that was started here."""
        self.stacks.close()
        assert self.sink.stdin is not None
        self.sink.stdin.close()
        self.sink.wait(10)

    def everything(self) -> dict[int, str]:
        """Every live process that works on this folder, with its command line."""
        needle = str(self.folder).encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) in (os.getpid(), self.sink.pid):
                continue
            with contextlib.suppress(OSError):
                if needle in entry.joinpath("environ").read_bytes() + entry.joinpath("cmdline").read_bytes():
                    command = processes.command(int(entry.name))
                    if command:
                        found[int(entry.name)] = command
        return found

    # -- asking

    def call(
        self, method: str, path: str, body: Any = None, *, authorization: str = "", timeout: float = 20
    ) -> tuple[int, Any, dict[str, str]]:
        """(status, answer, headers); status 0 when nobody answered."""
        request = urllib.request.Request(
            f"{self.stack.base_url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"}
            | ({"Authorization": authorization} if authorization else {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                status, raw, headers = answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            status, raw, headers = error.code, error.read(), dict(error.headers)
        except OSError:
            return 0, None, {}
        with contextlib.suppress(ValueError):
            return status, json.loads(raw), headers
        return status, raw, headers

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """A call of /api/v1/ that must succeed."""
        status, answer, _headers = self.call(method, path, body, authorization=f"Api-Key {self.api_key}")
        assert 200 <= status < 300, (status, answer)
        return answer

    def knock(self, path: str, body: Any, **options: Any) -> tuple[int, Any, dict[str, str]]:
        """A call of /v1/ as an SDK makes it."""
        token = base64.b64encode(f"{self.write_key}:".encode()).decode()
        return self.call("POST", path, body, authorization=f"Basic {token}", **options)

    def script(self, code: str, **values: Any) -> Any:
        """Run Python inside the product; returns what it assigns to `answer`."""
        text = f"import json\nvalues = json.loads({json.dumps(values)!r})\n{code}\nprint(json.dumps(answer))"
        done = self.stack.manage("shell", "--verbosity", "0", "--command", text, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    @contextlib.contextmanager
    def database(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A connection of our own."""
        with psycopg.connect(self.stack.database_url, autocommit=True) as connection:
            yield connection

    def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        """The rows of one query."""
        with self.database() as connection:
            return connection.execute(sql, params).fetchall()

    def mails(self) -> Counter[int]:
        """How often each message was accepted by the mail server."""
        return Counter(int(line[1:].split(".", 1)[0]) for line in self.mail_log.read_text().splitlines())

    # -- doing

    def let_in(self, number: int, name: str) -> None:
        """So many people with an address, for all of whom it is noon."""
        zone = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
        items = [
            {
                "type": "identify",
                "userId": f"{name}-{one}",
                "messageId": f"{name}-{one}",
                "traits": {
                    "email": f"{name}-{one}@example.com",
                    "name": f"{name} {one}",
                    "timezone": zone,
                    "locale": "zh-CN" if one % 2 else "en-GB",
                },
            }
            for one in range(number)
        ]
        for start in range(0, number, 250):
            status, answer, _headers = self.knock("/v1/batch", {"batch": items[start : start + 250]})
            assert status == 200 and not answer["rejected"], (status, answer)

    def prepare_release(self, name: str, number: int) -> int:
        """A draft that fixes what `number` people follow: a third reported it, a third voted, a third asked."""
        self.let_in(number, name)
        return int(self.script(_FOLLOW, name=name, number=number))

    def ship(self, release_id: int) -> None:
        """One click."""
        assert self.api("POST", f"/api/v1/releases/{release_id}/ship/", {})["status"] == "shipped"

    def messages_of(self, release_id: int) -> set[int]:
        """The ids of the messages that tell of a release."""
        sql = "SELECT DISTINCT message_id FROM voc_fixnotice WHERE release_id = %s"
        return {row[0] for row in self.rows(sql, release_id)}

    def gaps(self, messages: set[int]) -> dict[int, int]:
        """How often each message's fate was unknown, by the log."""
        sql = "SELECT message_id, gaps FROM lifecycle_delivery WHERE message_id = ANY(%s)"
        return dict(self.rows(sql, list(messages)))

    def told_and_thanked(self, release_id: int) -> tuple[int, ...]:
        """(notices, people with one, thank-yous, people thanked) of a release."""
        return self.rows(
            """
            WITH notice AS (SELECT profile_id FROM voc_fixnotice WHERE release_id = %s),
                 thanks AS (SELECT a.profile_id FROM members_pointsentry e
                              JOIN members_pointsaccount a ON a.id = e.account_id
                             WHERE e.kind = 'thanks' AND a.profile_id IN (SELECT profile_id FROM notice))
            SELECT (SELECT count(*) FROM notice), (SELECT count(DISTINCT profile_id) FROM notice),
                   (SELECT count(*) FROM thanks), (SELECT count(DISTINCT profile_id) FROM thanks)
            """,
            release_id,
        )[0]

    def settled(self, release_id: int, number: int) -> bool:
        """Whether everyone was told, every e-mail has its fate, and every reporter was thanked."""
        [(told, waiting, thanked)] = self.rows(
            """
            SELECT count(*) FILTER (WHERE m.decision NOT IN ('queued', 'held')),
                   count(*) FILTER (WHERE d.status IS NULL OR d.status IN ('queued', 'claimed')),
                   (SELECT count(*) FROM members_pointsentry e JOIN members_pointsaccount a ON a.id = e.account_id
                     WHERE e.kind = 'thanks' AND a.profile_id IN (
                           SELECT profile_id FROM voc_fixnotice WHERE release_id = %(release)s))
              FROM voc_fixnotice n JOIN lifecycle_outboundmessage m ON m.id = n.message_id
              LEFT JOIN lifecycle_delivery d ON d.message_id = m.id
             WHERE n.release_id = %(release)s
            """.replace("%(release)s", str(int(release_id)))
        )
        return bool(told == number and not waiting and thanked == reporters_of(number))

    def wait_settled(self, release_id: int, number: int) -> None:
        """Wait for it, generously."""
        self.wait(lambda: self.settled(release_id, number), "everything is settled")

    def wait_replaced(self, name: str, pid: int) -> None:
        """Until a killed process is gone and the supervisor has started another one in its place."""
        self.wait(lambda: not processes.is_alive(pid), f"{name} is dead")
        self.wait(lambda: processes.is_alive(self.stack.pids.get(name, 0)), f"{name} runs again")

    def wait(self, what: Callable[[], bool], why: str, seconds: float = PATIENCE) -> None:
        """Wait until it is so; fail with the state of the system when it never is."""
        if processes.wait_until(what, seconds):
            return
        state = [f"after {seconds:.0f} s not so: {why}; {sum(self.mails().values())} e-mails in all"]
        with contextlib.suppress(psycopg.OperationalError):
            state += [f"{table}: {self.rows(sql)}" for table, sql in _STATE.items()]
        state.append(self.stack.log.read_text()[-4000:])
        pytest.fail("\n".join(state))

    def verify(self) -> None:
        """Every invariant holds."""
        done = self.stack.manage("verify_invariants", check=False)
        assert done.returncode == 0, done.stdout + done.stderr[-2000:]


def reporters_of(number: int) -> int:
    """How many of `number` followers reported it."""
    return len(range(0, number, 3))


def kill(pid: int) -> None:
    """kill -9 of one process that a house has named; one that is gone already is no fault."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


_STATE = {
    "releases": "SELECT id, status, telling, told_at FROM voc_release",
    "messages": (
        "SELECT m.decision, m.reason, d.status, m.claims, count(*)"
        " FROM lifecycle_outboundmessage m LEFT JOIN lifecycle_delivery d ON d.message_id = m.id GROUP BY 1, 2, 3, 4"
    ),
    "runs": "SELECT * FROM lifecycle_sendrun",
    "reactions": "SELECT receiver, claims, lease_until, parked_at, last_error, count(*) FROM kernel_pendingreaction"
    " GROUP BY 1, 2, 3, 4, 5",
}

_FURNISH = """
from crm.kernel import actors, clock, knobs
from crm.services import sources
actor, now = actors.system("test"), clock.now()
for name in ("kernel.reaction_lease_seconds", "lifecycle.lease_seconds"):
    knobs.set(name, values["lease"], actor=actor, now=now)
source, _made = sources.get_or_create("Fault tests", trust="server", actor=actor, now=now)
scopes = [f"voc.{noun}:{verb}" for noun in ("ticket", "release") for verb in ("read", "write")]
_key, text = sources.create_api_key("Fault tests", scopes=scopes, actor=actor, now=now)
answer = [source.write_key, text]
"""

_FOLLOW = """
from django.db import transaction
from crm.kernel import actors, clock
from crm.models import Identity
from voc.services import releases, tickets
actor, now, name = actors.system("test"), clock.now(), values["name"]
people = dict(Identity.objects.filter(kind="user_id", value__startswith=name + "-").values_list("value", "profile_id"))
assert len(people) == values["number"], len(people)
with transaction.atomic():
    ticket = tickets.open(title=f"The lamp flickers ({name})", kind="bug", actor=actor, now=now)
    for one in range(values["number"]):
        role = ("reported", "voted", "asked")[one % 3]
        tickets.follow(ticket.pk, profile_id=people[f"{name}-{one}"], role=role, actor=actor, now=now)
    release = releases.create(title=f"A calmer light ({name})", actor=actor, now=now)
    releases.add_items(release.pk, ticket_ids=[ticket.pk], actor=actor, now=now)
answer = release.pk
"""
