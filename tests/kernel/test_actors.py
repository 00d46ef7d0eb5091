"""Actors in words."""

import pytest
from django.utils import translation

from crm.kernel.templatetags.actors import actor_words


@pytest.mark.parametrize(
    ("text", "english", "chinese"),
    [
        ("staff:12", "Staff 12", "员工 12"),
        (
            "reaction:members.thank_reporters",
            "Automatic members.thank_reporters",
            "系统 members.thank_reporters",
        ),
        ("nobody", "nobody", "nobody"),
        ("", "", ""),
    ],
)
def test_actors_are_words_in_both_languages(text: str, english: str, chinese: str) -> None:
    with translation.override("en"):
        assert actor_words(text) == english
    with translation.override("zh-hans"):
        assert actor_words(text) == chinese
