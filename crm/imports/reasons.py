"""Why a row or a value of a list was left out, in the reader's words."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

# Code -> what is wrong and what is allowed. The first part is about whole rows, the second about single values.
ROWS: dict[str, Any] = {
    "no_identifier": _("No usable ID, e-mail or phone number in this row: nobody to give it to."),
    "conflict": _("The identifiers of this row belong to different people. See “Same person?”."),
    "erased": _("This person asked to be erased; a list does not bring them back."),
    "broken_line": _(
        "The line cannot be read: a quotation mark is missing, or a cell has more than 4 million characters."
    ),
    "invalid_character": _("Unreadable characters: another encoding than the rest of the file, or a NUL."),
    "too_long": _("A cell has more characters than anyone could use (limit 10,000)."),
    "no_kind": _("The kind of event is missing."),
    "invalid_time": _(
        "The time of the event is missing or cannot be read. Allowed: 2019-05-21, 2019-05-21 18:30:00, "
        "2019-05-21T18:30:00+08:00."
    ),
    "time_out_of_range": _("The time of the event is before the first month of history, or in the future."),
    "too_large": _("The properties of one event have at most 32 KB."),
    "duplicate": _("This event is stored already."),
    "invalid_event": _("The event cannot be stored as it is."),
    "erased_or_unknown": _("The person of this event cannot be found."),
}  # fmt: skip
VALUES: dict[str, Any] = {
    "number_lost": _(
        "A spreadsheet has shortened this number, as 1.38E+10; its digits are lost. Format the column as text and "
        "export the list again."
    ),
    "invalid_email": _("Not an e-mail address."),
    "invalid_phone": _("Not a phone number. Numbers of other regions need their country code, as +852 …"),
    "illegal_identifier": _("A value that belongs to nobody, as null, 0 or guest."),
    "identity_limit": _("This person has as many identifiers of this kind as one person may have."),
    "invalid_date": _("Not a date. Allowed: 1990-05-21, 1990/5/21, 1990年5月21日, 19900521."),
    "ambiguous_date": _("Day or month first? Choose the order of dates for this column."),
    "impossible_date": _("A placeholder, or a date that cannot be: left empty."),
    "invalid_number": _("Not a number."),
    "invalid_boolean": _("Neither yes nor no."),
    "invalid_language": _("A language we write in: English or Chinese."),
    "invalid_country": _("Two letters, as CN or SG."),
    "invalid_time_zone": _("A name as Asia/Shanghai."),
    "withdrawn": _("This person has withdrawn this consent; a list does not give it back."),
}  # fmt: skip


def text(code: str) -> str:
    """The reason for a code, in the language that is active."""
    return str(ROWS.get(code) or VALUES.get(code) or code)


def is_row(code: str) -> bool:
    """Whether this reason leaves out the whole row, and not a single value."""
    return code in ROWS
