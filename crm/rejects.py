"""The reject file of an import: row, column, value and reason, in the reader's language, for staff and the API."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from django.http import StreamingHttpResponse
from django.utils import translation
from django.utils.translation import gettext as _

from crm.imports import sheets
from crm.models import ImportRun
from crm.selectors import imports as reads


def answer(run: ImportRun) -> StreamingHttpResponse:
    """What was left out, as a CSV that spreadsheets open without running anything."""
    language = translation.get_language()

    class Echo:
        """Gives back what the writer writes."""

        def write(self, text: str) -> str:
            """The line itself."""
            return text

    def lines() -> Iterator[str]:
        with translation.override(language):
            write = csv.writer(Echo()).writerow
            yield "\ufeff" + write(
                [_("Row"), _("Column"), _("Value"), _("Whole row left out"), _("Code"), _("Reason")]
            )
            for line in reads.reject_lines(run):
                line[3] = _("yes") if line[3] == "1" else _("no")
                yield write([sheets.harmless(cell) for cell in line])

    response = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="rejects-{run.pk}.csv"'
    return response
