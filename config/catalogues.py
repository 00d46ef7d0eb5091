"""Message catalogues without the gettext programs: extract, update and compile with Babel.

`make messages` extracts every marked string of the code and the templates into the catalogue of
each language; `prepare` compiles them. Nobody but Babel and Django's own template reader is needed.
"""

import io
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract, extract_python
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

APPS = ("config", "crm", "lifecycle", "voc", "members")
LANGUAGES = ("zh_Hans",)
KEYWORDS: dict[str, Any] = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop")),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), ((1, "c"), 2)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), ((1, "c"), 2, 3)),
}
SKIPPED_FOLDERS = {"migrations", "static", "node_modules", "__pycache__"}
IDLE_HEADERS = re.compile(
    r'^"(?:Project-Id-Version|Report-Msgid-Bugs-To|POT-Creation-Date|PO-Revision-Date|Last-Translator'
    r'|Language-Team|Generated-By): [^"]*"\n',
    re.MULTILINE,
)
HEADER = "# The words of Renxin in another language.\n"


def extract_django(
    fileobj: IO[bytes], keywords: Any, comment_tags: Any, options: Any
) -> Iterator[tuple[int, Any, list[str], str | None]]:
    """Babel's extractor for Django templates: Django turns a template into Python-like source
    that keeps line numbers, and Babel reads that."""
    from django.utils.translation.template import templatize

    # Markup comes out as X with its indentation, which is no Python: only the lines have to be kept.
    source = "\n".join(line.lstrip() for line in templatize(fileobj.read().decode("utf-8")).split("\n"))
    yield from extract_python(io.BytesIO(source.encode("utf-8")), keywords, comment_tags, options)


def template(base: Path, *, packages: Iterable[str] = APPS) -> Catalog:
    """Every marked string of the packages under `base`, with the places where it stands."""
    catalog = Catalog(project="Renxin", charset="utf-8", fuzzy=False)
    for path in sorted(_files(base, packages)):
        place = path.relative_to(base).as_posix()
        method: Any = "python" if path.suffix == ".py" else extract_django
        with path.open("rb") as stream:
            for line, message, comments, context in extract(
                method, stream, KEYWORDS, comment_tags=("Translators:",), options={"encoding": "utf-8"}
            ):
                catalog.add(message, locations=[(place, line)], auto_comments=comments, context=context)
    return catalog


def update(base: Path, locale_dir: Path) -> dict[str, int]:
    """Bring every language's catalogue up to the code; returns {language: strings without words}."""
    found = template(base)
    missing = {}
    for language in LANGUAGES:
        path = po_path(locale_dir, language)
        if path.exists():
            with path.open("rb") as stream:
                catalog = read_po(stream, locale=language)
        else:
            catalog = Catalog(locale=language, project="Renxin", charset="utf-8")
        catalog.fuzzy = False
        catalog.header_comment = HEADER
        # No guesses: a string that changed is a new string, to be translated by a person.
        catalog.update(found, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        write(catalog, path)
        missing[language] = len(untranslated(catalog))
    return missing


def write(catalog: Catalog, path: Path) -> None:
    """Write a catalogue so that it changes only where words change: no dates, names or line numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = io.BytesIO()
    write_po(draft, catalog, width=100, include_lineno=False, sort_output=True)
    path.write_text(IDLE_HEADERS.sub("", draft.getvalue().decode("utf-8")), encoding="utf-8")


def untranslated(catalog: Catalog) -> list[str]:
    """The messages that have no words yet, or doubtful ones."""
    empty = []
    for message in catalog:
        if not message.id:
            continue
        words = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
        if message.fuzzy or not all(words):
            empty.append(message.id if isinstance(message.id, str) else message.id[0])
    return empty


def problems(base: Path, locale_dir: Path) -> list[str]:
    """What is wrong with the catalogues, one line each; empty when all is well."""
    wanted = {(message.id, message.context) for message in template(base) if message.id}
    found = []
    for language in LANGUAGES:
        path = po_path(locale_dir, language)
        if not path.exists():
            found.append(f"{language}: {path.name} is missing")
            continue
        with path.open("rb") as stream:
            catalog = read_po(stream, locale=language)
        known = {(message.id, message.context) for message in catalog if message.id}
        found += [f"{language}: not in the catalogue: {_short(key[0])}" for key in wanted - known]
        found += [f"{language}: no longer in the code: {_short(key[0])}" for key in known - wanted]
        found += [f"{language}: no words for: {_short(text)}" for text in untranslated(catalog)]
        for message in catalog:
            found += [f"{language}: {_short(message.id)}: {error}" for error in message.check()]
    return sorted(found)


def _short(text: Any) -> str:
    return repr(text if isinstance(text, str) else text[0])[:90]


def compile_all(locale_dirs: Iterable[Path], *, fallback: Path | None = None) -> list[str]:
    """Compile what is newer than its compiled form; returns the languages that were compiled.

    The compiled form lies beside the words; where that folder cannot be written (an installation
    that belongs to somebody else), under `fallback`, which is among LOCALE_PATHS too.
    """
    done = []
    for locale_dir in map(Path, locale_dirs):
        for path in sorted(locale_dir.glob("*/LC_MESSAGES/*.po")):
            target = path.with_suffix(".mo")
            if not _is_older(target, path):
                continue
            if fallback is not None and not os.access(path.parent, os.W_OK):
                target = fallback / locale_dir.name / target.relative_to(locale_dir)
                if not _is_older(target, path):
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as stream:
                catalog = read_po(stream, locale=path.parts[-3])
            draft = target.with_name(f".{target.name}.{os.getpid()}")
            with draft.open("wb") as stream:
                write_mo(stream, catalog)
            draft.replace(target)  # a process that reads meanwhile sees the old or the new, never a half
            done.append(path.parts[-3])
    return done


def _is_older(compiled: Path, words: Path) -> bool:
    return not compiled.exists() or compiled.stat().st_mtime < words.stat().st_mtime


def po_path(locale_dir: Path, language: str) -> Path:
    return locale_dir / language / "LC_MESSAGES" / "django.po"


def _files(base: Path, packages: Iterable[str]) -> Iterator[Path]:
    for package in packages:
        for folder, folders, names in os.walk(base / package):
            folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
            for name in names:
                path = Path(folder, name)
                if path.suffix == ".py" or (path.suffix in {".html", ".txt"} and "templates" in path.parts):
                    yield path
