"""Rendering once for many readers gives each of them exactly what a rendering of their own would give."""

import pytest

from lifecycle import registry
from lifecycle.registry import MessageKind, Template
from lifecycle.services import mime, rendering
from lifecycle.services.mime import Envelope

WORDS = [
    {"name": "Ada <b>& Co</b>", "family_name": "Ada", "given_name": ""},
    {"name": "", "family_name": "", "given_name": ""},
    {"name": "测试·小满", "family_name": "测", "given_name": "小满"},
    {"name": "https://example.com/x", "family_name": "", "given_name": "a\u202eb"},
]
CONTEXT = {"organisation": {"name": "Lantern"}, "thing": "lamp & <i>shade</i>"}


def kind(subject, body):
    return MessageKind(
        code="tests.shared",
        label="x",
        message_class="service",
        purpose="service",
        variables={"thing": "lamp"},
        templates={"en": Template(subject, body), "zh-hans": Template(subject, body)},
    )


PLAIN = kind(
    "{% if person.name != '' %}{{ person.name }}: {% endif %}{{ thing }}",
    "Hi{% if person.given_name == '' %}{% else %} {{ person.given_name }}{% endif %},\n\na real person wrote of "
    "{{ thing }} to {{ person.name }}.\n\nhttps://example.com/a\n",
)


@pytest.fixture(autouse=True)
def fresh(db):
    rendering.forget()
    rendering._shared.clear()


def both(found, words):
    shared = rendering.render_shared(
        found, CONTEXT, words=words, key=("k",), language="en", time_zone="UTC", default_language="en"
    )
    own = rendering.render(
        found, {**CONTEXT, "person": words}, language="en", time_zone="UTC", default_language="en"
    )
    return shared, own


@pytest.mark.parametrize("words", WORDS)
def test_shared_and_own_rendering_agree(words):
    shared, own = both(PLAIN, words)
    assert (shared.subject, shared.body, shared.language) == (own.subject, own.body, own.language)


# A name that looks like an address becomes a link only where each reader is rendered alone.
@pytest.mark.parametrize("words", WORDS[:3])
def test_the_html_parts_hold_the_same_text(words):
    shared, own = both(PLAIN, words)
    parts = [
        Envelope(1, "a@example.com", r.subject, r.body, "en", "d", shared_body=r.shared_body, words=r.words)
        for r in (shared, own)
    ]
    assert mime._html(parts[0]) == mime._html(parts[1])
    assert parts[0].as_bytes() == parts[1].as_bytes()


def test_one_reader_never_gets_the_words_of_another():
    texts = [both(PLAIN, words)[0].body for words in WORDS]
    assert "小满" in texts[2]
    assert all("小满" not in text for text in (texts[0], texts[1], texts[3]))
    assert not any("\ue001" in text for text in texts)


@pytest.mark.parametrize(
    "body",
    [
        "{{ person.name | upcase }}",
        "{% if person.name == 'Ada' %}x{% endif %}",
        "{% assign p = person.name %}{{ p }}",
        "{{ links.inbox }}",
        "{% if person.name != '' and thing != '' %}x{% endif %}",
    ],
)
def test_a_template_that_does_more_with_a_person_is_rendered_for_each(body):
    found = rendering.render_shared(
        kind("s", body), CONTEXT, words=WORDS[0], key=("k",), language="en", time_zone="UTC"
    )
    assert found is None


def test_a_word_with_a_mark_in_it_is_rendered_alone():
    words = {**WORDS[0], "name": "\ue0010\ue002"}
    found = rendering.render_shared(PLAIN, CONTEXT, words=words, key=("k",), language="en", time_zone="UTC")
    assert found is None


def test_the_shipped_texts_are_shared():
    for code in ("voc.fix_told", "lifecycle.browsed_not_bought"):
        found = registry.get(code)
        for template in found.templates.values():
            assert rendering._is_plain(template.subject + template.body), code
