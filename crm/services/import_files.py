"""Files of imports: kept in a private folder of the data folder, and removed when they have served.

A list is personal data. Only the run refers to it, by a name of its own; nothing serves it back but the reject file,
which is written anew from the rows of the database.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from crm.imports import files
from crm.kernel import knobs
from crm.kernel.errors import Conflict, TooLarge

_BLOCK = 1024 * 1024


def folder() -> Path:
    """The folder of all lists, made when it is missing, for nobody but this system."""
    found = Path(settings.DATA_DIR) / "imports"
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    return found


def store(chunks: Iterable[bytes], *, public_id: UUID) -> tuple[str, int]:
    """Write an upload. Returns its SHA-256 and size. Raises TooLarge, and then nothing is left."""
    home = folder() / str(public_id)
    home.mkdir(mode=0o700)
    limit = knobs.get("crm.import_max_mb") * 1024 * 1024
    digest, size = hashlib.sha256(), 0
    try:
        with os.fdopen(os.open(home / "list", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise TooLarge(
                        _("A list has at most %(n)d MB.") % {"n": knobs.get("crm.import_max_mb")},
                        code="too_large", field="file", allowed=limit,
                    )  # fmt: skip
                digest.update(chunk)
                stream.write(chunk)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    return digest.hexdigest(), size


def read_in_blocks(path: Path) -> Iterable[bytes]:
    """The blocks of a file on this machine."""
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block


def original(public_id: UUID) -> Path:
    """Where the list of a run lies. Raises Conflict `file_missing` when it is gone."""
    path = folder() / str(public_id) / "list"
    if not path.is_file():
        raise Conflict(_("The file of this import is gone; upload the list again."), code="file_missing")
    return path


def readable(public_id: UUID, *, shape: dict[str, object]) -> tuple[Path, str, str]:
    """The file to read rows from, with encoding and delimiter: the list itself, or its copy as UTF-8 CSV."""
    path = original(public_id)
    if shape["direct"]:
        return path, str(shape["encoding"]), str(shape["delimiter"])
    copy = path.with_name("rows.csv")
    if not copy.is_file():
        files.convert(
            path,
            copy,
            encoding=str(shape["encoding"]),
            delimiter=str(shape["delimiter"]),
            sheet=str(shape["sheet"]),
        )
    return copy, "utf-8", ","


def remove(public_id: UUID) -> None:
    """Delete the list and its copy; repeatable."""
    shutil.rmtree(folder() / str(public_id), ignore_errors=True)
