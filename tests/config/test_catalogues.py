"""Extraction and compilation without the gettext programs."""

import gettext
import re
import shutil
from pathlib import Path

import pytest
import unfold
from django.conf import settings
from django.utils import translation

from config import catalogues


@pytest.fixture
def base(tmp_path: Path) -> Path:
    templates = tmp_path / "voc" / "templates" / "voc"
    templates.mkdir(parents=True)
    (tmp_path / "voc" / "texts.py").write_text(
        "from django.utils.translation import gettext_lazy as _, ngettext, pgettext\n"
        '_("Open a ticket")\npgettext("state", "Open")\nngettext("%(n)d day", "%(n)d days", 2)\n'
    )
    (templates / "page.html").write_text(
        '{% load i18n %}<h1>{% translate "Thank you" %}</h1>\n'
        "{% blocktranslate trimmed with name=person.name %}\n  Dear {{ name }},\n{% endblocktranslate %}\n"
        "    <ul>\n      <li>{% translate 'Deep' %}</li>\n  </ul>\n"
        "{% blocktranslate count n=total %}one vote{% plural %}{{ n }} votes{% endblocktranslate %}\n"
    )
    return tmp_path


def test_code_and_templates_are_extracted(base: Path) -> None:
    found = {(message.id, message.context) for message in catalogues.template(base) if message.id}
    assert found == {
        ("Open a ticket", None),
        ("Open", "state"),
        (("%(n)d day", "%(n)d days"), None),
        ("Thank you", None),
        ("Deep", None),
        ("Dear %(name)s,", None),
        (("one vote", "%(n)s votes"), None),
    }


def test_update_keeps_words_and_check_names_what_lacks(base: Path) -> None:
    locale = base / "locale"
    assert catalogues.update(base, locale) == {"zh_Hans": 7}
    path = catalogues.po_path(locale, "zh_Hans")
    text = path.read_text().replace('msgid "Thank you"\nmsgstr ""', 'msgid "Thank you"\nmsgstr "谢谢"')
    path.write_text(text)
    assert catalogues.update(base, locale) == {"zh_Hans": 6}
    assert len(catalogues.problems(base, locale)) == 6
    (base / "voc" / "texts.py").unlink()
    assert catalogues.update(base, locale) == {"zh_Hans": 3}
    assert "zh_Hans: not in the catalogue: 'New words'" not in catalogues.problems(base, locale)
    (base / "voc" / "more.py").write_text('_("New words")\n')
    assert "zh_Hans: not in the catalogue: 'New words'" in catalogues.problems(base, locale)
    assert catalogues.update(base, locale) == {"zh_Hans": 4}
    (base / "voc" / "more.py").unlink()
    assert "zh_Hans: no longer in the code: 'New words'" in catalogues.problems(base, locale)


def test_compiled_once_per_change(base: Path) -> None:
    locale = base / "locale"
    catalogues.update(base, locale)
    path = catalogues.po_path(locale, "zh_Hans")
    path.write_text(
        path.read_text().replace('msgid "Thank you"\nmsgstr ""', 'msgid "Thank you"\nmsgstr "谢谢"')
    )
    assert catalogues.compile_all([locale]) == ["zh_Hans"]
    assert catalogues.compile_all([locale]) == []
    with path.with_suffix(".mo").open("rb") as stream:
        assert gettext.GNUTranslations(stream).gettext("Thank you") == "谢谢"
    shutil.rmtree(locale)
    assert catalogues.compile_all([locale]) == []


def test_every_string_of_the_product_has_its_chinese_words() -> None:
    assert catalogues.problems(settings.BASE_DIR, settings.LOCALE_PATHS[0]) == []


def test_the_theme_speaks_chinese() -> None:
    """The theme ships no Chinese: our second catalogue, or Django's own, has every string of it."""
    found = catalogues.template(Path(unfold.__file__).parents[1], packages=["unfold"])
    english = []
    with translation.override("zh-hans"):
        for message in found:
            forms = message.id if isinstance(message.id, tuple) else (message.id,)
            words = translation.ngettext(*forms, 2) if len(forms) > 1 else translation.gettext(*forms)
            if words in forms and re.search("[a-z]", re.sub(r"%\(\w+\)s", "", words)):
                english.append(words)
    assert len(found) > 100
    assert english == []


def test_compiled_elsewhere_where_the_words_cannot_be_written(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locale, fallback = base / "locale", base / "data"
    catalogues.update(base, locale)
    monkeypatch.setattr(catalogues.os, "access", lambda path, mode: False)
    assert catalogues.compile_all([locale], fallback=fallback) == ["zh_Hans"]
    assert catalogues.compile_all([locale], fallback=fallback) == []
    assert (fallback / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.mo").exists()
    assert not (locale / "zh_Hans" / "LC_MESSAGES" / "django.mo").exists()
