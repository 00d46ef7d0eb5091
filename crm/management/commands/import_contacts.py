"""`import_contacts FILE --source … --tie-strength … (--consent-evidence … --agreed … | --no-consent)`: a list comes in.

The same steps as in the staff pages: columns are guessed or given, a dry run comes first, then the run, here or in
whichever worker takes it up. Progress goes to stderr, the result as one JSON object to stdout. Ctrl-C pauses after
what is committed and says how to go on.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm.imports import columns, reasons
from crm.kernel import actors, clock
from crm.kernel.errors import DomainError
from crm.models import ImportRun
from crm.selectors import imports as reads
from crm.services import import_files, import_work, imports
from crm.states import ImportKind, ImportStatus, TieStrength

ACTOR = actors.system("import_contacts")
SLICE_SECONDS = 2.0


class Command(BaseCommand):
    """Import people, or with --events what they did."""

    help = "Imports a list of people (or, with --events, of past events) from a CSV or XLSX file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", help="a .csv or .xlsx file")
        parser.add_argument("--source", help="where the list comes from, as staff will read it")
        parser.add_argument(
            "--tie-strength", choices=TieStrength.values, help="how well these people know you"
        )
        parser.add_argument("--consent-evidence", help="where, when and how these people agreed")
        parser.add_argument(
            "--agreed", action="append", default=[], metavar="PURPOSE:CHANNEL",
            help="what they agreed to, as marketing:email; may be repeated",
        )  # fmt: skip
        parser.add_argument("--agreed-on", default="", help="the day of consent, as 2019-05-21")
        parser.add_argument("--text-version", default="", help="the version of the text they agreed to")
        parser.add_argument(
            "--no-consent", action="store_true", help="they agreed to nothing: not contactable"
        )
        parser.add_argument(
            "--map", action="append", default=[], metavar="COLUMN=TARGET[/TYPE[/ORDER]]",
            help="how a column is read, as 手机号=phone or 积分=trait:points/number; `skip` leaves it out",
        )  # fmt: skip
        parser.add_argument(
            "--replace", action="store_true", help="replace known values instead of filling gaps"
        )
        parser.add_argument("--encoding", default="", help="instead of the detected one")
        parser.add_argument("--delimiter", default="", help="instead of the detected one")
        parser.add_argument("--sheet", default="", help="the sheet of a workbook; the first one if not given")
        parser.add_argument("--no-header", action="store_true", help="the first line is data already")
        parser.add_argument(
            "--region", default="", help="region of phone numbers without a country code, as CN"
        )
        parser.add_argument("--static-list", default="", help="keep these people as a list of this name")
        parser.add_argument("--dry-run", action="store_true", help="only report what would happen")
        parser.add_argument(
            "--force", action="store_true", help="import a file again that was imported before"
        )
        parser.add_argument("--trigger", action="store_true", help="let journeys and segments react")
        parser.add_argument("--events", action="store_true", help="rows are events, not people")
        parser.add_argument("--resume", type=int, metavar="ID", help="go on with a paused or failed import")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["resume"]:
                run = imports.resume(options["resume"], actor=ACTOR, now=clock.now())
            else:
                run = self._prepare(options)
                run = imports.check(run.pk, actor=ACTOR, now=clock.now())
                run = self._work(run)
                if options["dry_run"] or run.status != ImportStatus.CHECKED:
                    self._answer(run, run.report)
                    return
                run = imports.start(run.pk, force=options["force"], actor=ACTOR, now=clock.now())
            run = self._work(run)
            self._answer(run, run.counters)
        except DomainError as error:
            raise CommandError(f"{error} ({error.code})") from error

    def _prepare(self, options: dict[str, Any]) -> ImportRun:
        path = Path(options["file"] or "")
        if not options["file"] or not path.is_file():
            raise CommandError("give a file that exists, or --resume ID")
        if not options["source"]:
            raise CommandError("--source is needed: where the list comes from")
        if not options["events"]:
            if not options["tie_strength"]:
                raise CommandError(f"--tie-strength is needed: {', '.join(TieStrength.values)}")
            if bool(options["consent_evidence"]) == options["no_consent"]:
                raise CommandError(
                    "either --consent-evidence (and --agreed PURPOSE:CHANNEL) or --no-consent is needed"
                )
        reading = {name: options[name] for name in ("encoding", "delimiter", "sheet") if options[name]}
        if options["no_header"]:
            reading["has_header"] = False
        kind = ImportKind.EVENTS if options["events"] else ImportKind.CONTACTS
        run = imports.upload(
            path.name, import_files.read_in_blocks(path), kind=kind, actor=ACTOR, now=clock.now(), **reading
        )
        mapping = _mapped(run, options["map"])
        for column in mapping:
            sys.stderr.write(f"{column['header']} -> {column['target']}\n")
        run = imports.set_mapping(run.pk, mapping=mapping, actor=ACTOR, now=clock.now())
        consent = {
            "given": not options["no_consent"], "evidence": options["consent_evidence"] or "",
            "claims": [claim.split(":", 1) for claim in options["agreed"]], "agreed_on": options["agreed_on"],
            "text_version": options["text_version"],
        }  # fmt: skip
        return imports.describe(
            run.pk, source=options["source"], tie_strength=options["tie_strength"] or "", consent=consent,
            options={
                "existing": "replace" if options["replace"] else "fill", "trigger": options["trigger"],
                "region": options["region"], "static_list": options["static_list"],
            },
            actor=ACTOR, now=clock.now(),
        )  # fmt: skip

    def _work(self, run: ImportRun) -> ImportRun:
        """Work here, or watch the worker that was faster."""
        working = run.status
        try:
            while run.status == working:
                if not import_work.work(run.pk, now=clock.now(), seconds=SLICE_SECONDS):
                    time.sleep(0.05)
                run.refresh_from_db()
                self._show(run)
        except KeyboardInterrupt:
            sys.stderr.write("\n")
            import_work.give_back(run.pk)
            run.refresh_from_db()
            if run.status == ImportStatus.RUNNING:
                imports.pause(run.pk, actor=ACTOR, now=clock.now())
                raise CommandError(
                    f"paused after row {run.cursor_row}; go on with: manage.py import_contacts --resume {run.pk}",
                    returncode=130,
                ) from None
            if run.status == ImportStatus.CHECKING:
                imports.cancel(run.pk, actor=ACTOR, now=clock.now())
            raise CommandError("ended before anything was imported", returncode=130) from None
        sys.stderr.write("\n")
        return run

    def _show(self, run: ImportRun) -> None:
        found = reads.progress(run)
        left = "" if found.seconds_left is None else f", {found.seconds_left:.0f} s left"
        sys.stderr.write(
            f"\r{run.status}: {found.rows} rows, {found.share:.0%}, {found.rows_per_second:.0f} rows/s{left}    "
        )
        sys.stderr.flush()

    def _answer(self, run: ImportRun, counters: dict[str, Any]) -> None:
        figures = {name: value for name, value in counters.items() if name != "examples"}
        for reason in reads.reasons_of(counters):
            sys.stderr.write(f"{reason.number} x {reason.code}: {reasons.text(reason.code)}\n")
        self.stdout.write(
            json.dumps(
                {"import": run.pk, "status": run.status, "error": run.error, **figures}, ensure_ascii=False
            )
        )
        if run.status == ImportStatus.FAILED:
            raise CommandError(f"stopped: {run.error}; go on with --resume {run.pk}")


def _mapped(run: ImportRun, given: list[str]) -> list[dict[str, Any]]:
    mapping = columns.plain(columns.load(run.mapping))
    for text in given:
        header, equals, wanted = text.partition("=")
        found = [column for column in mapping if column["header"] == header]
        if not equals or not found:
            names = ", ".join(column["header"] for column in mapping)
            raise CommandError(f"--map {text}: there is no such column; there are: {names}")
        parts = [*wanted.split("/"), "", ""]
        found[0].update(target=parts[0], type=parts[1] or "text", order=parts[2], guessed=False)
    return mapping
