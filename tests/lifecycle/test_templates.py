"""Staff's own texts are checked when saved; what they cannot do is refused by name."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from django.core import mail

from crm.kernel.errors import Invalid, NotFound
from lifecycle import registry
from lifecycle.models import MessageTemplate
from lifecycle.services import messages, rendering, templates
from tests.lifecycle.conftest import ACTOR, CARE, NOON, SERVICE

pytestmark = pytest.mark.django_db


def save(
    body: str, subject: str = "Hello", kind: str = "tests.service", language: str = "en"
) -> MessageTemplate:
    return templates.save(kind, language=language, subject=subject, body=body, actor=ACTOR, now=NOON)


def test_an_override_is_what_people_get(person: Callable[..., int]) -> None:
    save("Dear {{ person.name }}: {{ ticket.title | upcase }}", subject="No. {{ ticket.number }}")
    reader = person(name="Ana", language="en")
    item = messages.Item("tests.service", reader, "t", {"ticket": {"number": 9, "title": "lamp"}})
    messages.queue([item], actor=ACTOR, now=NOON)
    messages.deliver(now=NOON)
    assert mail.outbox[0].subject == "No. 9"
    assert mail.outbox[0].body.replace("\r\n", "\n").startswith("Dear Ana: LAMP\n")


def test_reset_brings_the_built_in_text_back() -> None:
    save("Mine")
    templates.reset("tests.service", language="en", actor=ACTOR, now=NOON)
    assert rendering.effective(SERVICE, "en") == (SERVICE.templates["en"], False)
    with pytest.raises(NotFound):
        templates.reset("tests.service", language="en", actor=ACTOR, now=NOON)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("{{ secret }}", "secret"),
        ("{{ person.password }}", "person.password"),
        ("{{ person.__class__ }}", "person.__class__"),
        ("{{ ticket.title.__class__.mro }}", "ticket.title.__class__"),
        ("{% if false %}{{ hidden }}{% endif %}", "hidden"),
        ("{% if hidden %}x{% endif %}", "hidden"),
        ("{% for x in things %}{{ x }}{% endfor %}", "things"),
    ],
)
def test_an_unknown_variable_is_refused_by_name(body: str, name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        save(body)
    assert refusal.value.code == "unknown_variable"
    assert name in str(refusal.value)
    assert "ticket.number" in refusal.value.allowed
    assert MessageTemplate.objects.count() == 0


@pytest.mark.parametrize(
    ("subject", "body", "code"),
    [
        ("Two\nlines", "x", "invalid_character"),
        ("", "x", "invalid_length"),
        ("x" * 201, "x", "invalid_length"),
        ("x", "", "invalid_length"),
        ("x", "x" * 20_001, "invalid_length"),
        ("x", "{{ person.name ", "invalid_template"),
        ("x", "{% frobnicate %}", "invalid_template"),
        ("x", "{{ person.name | frobnicate }}", "invalid_template"),
        ("x", "{% include 'settings' %}", "invalid_template"),
        (
            "x",
            "{% for a in (1..100000) %}{% for b in (1..100000) %}x{% endfor %}{% endfor %}",
            "invalid_template",
        ),
    ],
)
def test_a_bad_template_is_refused(subject: str, body: str, code: str) -> None:
    with pytest.raises(Invalid) as refusal:
        save(body, subject=subject)
    assert refusal.value.code == code
    assert MessageTemplate.objects.count() == 0


@pytest.mark.parametrize(
    "body",
    [
        '{{ "x"' + ' | replace: "x", "xxxxxxxxxx"' * 9 + " }}",
        '{{ "x"' + ' | replace: "", "xxxxxxxxxx"' * 9 + " }}",
        '{% assign a = "xxxxxxxxxx" %}' + "{% assign a = a | append: a %}" * 40 + "{{ a }}",
        '{% assign a = "xxxxxxxxxx" %}' + "{% assign a = a | prepend: a %}" * 40 + "{{ a }}",
    ],
)
def test_a_text_cannot_grow_without_end(body: str) -> None:
    started = time.monotonic()
    with pytest.raises(Invalid) as refusal:
        save(body)
    assert refusal.value.code == "invalid_template"
    assert time.monotonic() - started < 5


def test_an_unknown_kind_or_language_is_refused() -> None:
    with pytest.raises(NotFound):
        save("x", kind="tests.nothing")
    with pytest.raises(Invalid) as refusal:
        save("x", language="fr")
    assert refusal.value.allowed == ["en", "zh-hans"]


def test_a_broken_override_falls_back_to_the_built_in_text(person: Callable[..., int]) -> None:
    MessageTemplate.objects.create(kind="tests.service", language="en", subject="x", body="{{ gone.away }}")
    rendering.forget()
    item = messages.Item(
        "tests.service", person(language="en"), "t", {"ticket": {"number": 9, "title": "lamp"}}
    )
    messages.queue([item], actor=ACTOR, now=NOON)
    messages.deliver(now=NOON)
    assert mail.outbox[0].subject == "Fixed: lamp"


def test_dates_are_the_readers(person: Callable[..., int]) -> None:
    assert (
        rendering.format_date("2026-11-18T20:00:00+00:00", language="zh-hans", time_zone="Asia/Shanghai")
        == "2026年11月19日"
    )
    assert (
        rendering.format_date("2026-11-18T20:00:00+00:00", language="en", time_zone="America/New_York")
        == "18 November 2026"
    )


def test_advice_on_tone() -> None:
    assert templates.lint(SERVICE, subject="Hello", body="Dear customer, WELCOME!!") == (
        "“dear customer” sounds like a machine. Speak as one person to another.",
        "More than one exclamation mark in a row reads as shouting.",
        "Words in capitals read as shouting.",
    )
    assert len(templates.lint(CARE, subject="生日快乐", body="送您一张优惠券")) == 1
    assert templates.lint(SERVICE, subject="Fixed", body="Thank you for telling us.") == ()


def test_every_built_in_text_holds_in_both_languages() -> None:
    assert templates.built_in_faults(registry.all_kinds()) == []
    for kind in registry.all_kinds():
        if kind.code.startswith("tests."):
            continue
        assert set(kind.templates) == {"en", "zh-hans"}, kind.code
        for language in kind.templates:
            preview = templates.preview(kind, language=language)
            assert preview.advice == (), (kind.code, language, preview.advice)
