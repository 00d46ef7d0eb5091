"""Every string of the product has its words in every language; none is doubtful."""

import re

import polib
import pytest
from django.conf import settings

from config import catalogues

PLACEHOLDERS = re.compile(r"%\([a-z_0-9]+\)[sd]|%[sd]|\{[a-z_0-9]*\}")


@pytest.mark.parametrize("language", catalogues.LANGUAGES)
def test_catalogue_is_complete(language: str) -> None:
    catalogue = polib.pofile(str(catalogues.po_path(settings.LOCALE_PATHS[0], language)))
    known = {(entry.msgid, entry.msgctxt) for entry in catalogue if not entry.obsolete}
    wanted = {
        (message.id if isinstance(message.id, str) else message.id[0], message.context)
        for message in catalogues.template(settings.BASE_DIR)
        if message.id
    }
    assert sorted(str(key) for key in wanted - known) == []
    assert [entry.msgid for entry in catalogue.untranslated_entries()] == []
    assert [entry.msgid for entry in catalogue.fuzzy_entries()] == []


@pytest.mark.parametrize("language", catalogues.LANGUAGES)
def test_words_keep_their_placeholders(language: str) -> None:
    wrong = []
    for entry in polib.pofile(str(catalogues.po_path(settings.LOCALE_PATHS[0], language))):
        words = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
        allowed = {
            tuple(sorted(PLACEHOLDERS.findall(text))) for text in (entry.msgid, entry.msgid_plural) if text
        }
        wrong += [
            entry.msgid for text in words if text and tuple(sorted(PLACEHOLDERS.findall(text))) not in allowed
        ]
    assert wrong == []
