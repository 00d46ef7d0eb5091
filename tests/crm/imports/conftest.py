"""Lists of a few rows, brought in as staff and workers do it, on a data folder of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crm.imports import columns
from crm.kernel import actors
from crm.models import ImportRun
from crm.services import import_work, imports
from tests.crm.conftest import NOON

STAFF = actors.Actor("staff", "1")
EVIDENCE = "Signed the paper form at the counter of the Nanjing shop"
AGREED = {"given": True, "evidence": EVIDENCE, "claims": [["marketing", "email"], ["marketing", "sms"]]}
NONE = {"given": False}


@pytest.fixture(autouse=True)
def own_folder(settings: Any, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


class Lists:
    """What staff do with a list."""

    def upload(
        self, content: str | bytes, *, name: str = "fans.csv", kind: str = "contacts", **reading: Any
    ) -> ImportRun:
        raw = content.encode() if isinstance(content, str) else content
        return imports.upload(name, [raw], kind=kind, actor=STAFF, now=NOON, **reading)

    def map(self, run: ImportRun, **targets: str) -> ImportRun:
        """Columns by header (spaces as _), as `target` or `target/type` or `target/type/order`; others as guessed."""
        mapping = run.mapping
        for column in mapping:
            wanted = targets.get(column["header"].replace(" ", "_"))
            if wanted is not None:
                parts = wanted.split("/")
                column["target"] = parts[0]
                column["type"] = parts[1] if len(parts) > 1 else "text"
                column["order"] = parts[2] if len(parts) > 2 else ""
        return imports.set_mapping(run.pk, mapping=mapping, actor=STAFF, now=NOON)

    def describe(
        self,
        run: ImportRun,
        *,
        consent: Any = NONE,
        source: str = "Fans 2019",
        tie: str = "weak",
        **options: Any,
    ) -> ImportRun:
        return imports.describe(
            run.pk, source=source, tie_strength=tie, consent=consent, options=options, actor=STAFF, now=NOON
        )

    def prepared(
        self,
        content: str | bytes,
        *,
        consent: Any = NONE,
        kind: str = "contacts",
        source: str = "Fans 2019",
        options: Any = (),
        name: str = "fans.csv",
        **targets: str,
    ) -> ImportRun:
        run = self.map(self.upload(content, kind=kind, name=name), **targets)
        return self.describe(run, consent=consent, source=source, **dict(options))

    def check(self, run: ImportRun) -> ImportRun:
        imports.check(run.pk, actor=STAFF, now=NOON)
        self.work(run)
        return run

    def start(self, run: ImportRun, **given: Any) -> ImportRun:
        imports.start(run.pk, actor=STAFF, now=NOON, **given)
        self.work(run)
        return run

    def work(self, run: ImportRun) -> None:
        while import_work.work(run.pk, now=NOON):
            pass
        run.refresh_from_db()

    def bring(self, content: str | bytes, **given: Any) -> ImportRun:
        """The whole way."""
        force = given.pop("force", False)
        run = self.check(self.prepared(content, **given))
        assert run.status == "checked", run.error
        run = self.start(run, force=force)
        assert run.status == "done", run.error
        return run


@pytest.fixture
def lists(db: None) -> Lists:
    return Lists()


Guess = Callable[..., list[str]]


def guessed(header: str, *rows: str, kind: str = "contacts") -> list[str]:
    return [c.target for c in columns.guess(header.split(","), [row.split(",") for row in rows], kind=kind)]
