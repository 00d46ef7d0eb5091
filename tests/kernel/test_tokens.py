"""Signed links open only what they were made for, and only for a while."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core import signing

from crm.kernel import tokens
from crm.kernel.errors import Gone, NotFound


def test_a_token_gives_its_payload_back():
    token = tokens.make("inbox", {"p": 7})
    assert tokens.read("inbox", token, max_age=timedelta(days=1)) == {"p": 7}


def test_a_token_is_what_django_itself_would_sign():
    with time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC), tick=False):
        expected = signing.dumps({"p": 7, "u": "服务"}, salt="renxin.inbox")
        assert tokens.make("inbox", {"p": 7, "u": "服务"}) == expected


def test_a_token_of_another_purpose_is_not_found():
    with pytest.raises(NotFound):
        tokens.read("unsubscribe", tokens.make("inbox", {"p": 7}), max_age=None)


@pytest.mark.parametrize("token", ["", "x", "a:b:c", "\x00", "é" * 30])
def test_a_forged_token_is_not_found(token):
    with pytest.raises(NotFound):
        tokens.read("inbox", token, max_age=None)


def test_an_expired_token_is_gone():
    with time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC), tick=False):
        token = tokens.make("inbox", {"p": 7})
    with time_machine.travel(datetime(2026, 1, 3, tzinfo=UTC), tick=False), pytest.raises(Gone):
        tokens.read("inbox", token, max_age=timedelta(days=1))
