"""The pass over all people after names are read in another way: it may be stopped anywhere."""

from __future__ import annotations

import pytest

from crm import names
from crm.models import Profile, ScanPosition
from crm.services import search_tokens
from tests.crm.conftest import NOON
from tests.crm.people.conftest import Maker

pytestmark = pytest.mark.django_db


def test_nothing_is_done_where_everybody_is_as_they_should_be(identify: Maker) -> None:
    identify("a", name="张伟")
    assert search_tokens.renew(now=NOON, until=lambda: False) == 0
    assert ScanPosition.objects.get().finished_at == NOON


def test_the_pass_goes_on_where_it_was_stopped(identify: Maker) -> None:
    people = [identify(f"u-{n}", name="仇英") for n in range(7)]
    Profile.objects.filter(pk__in=people).update(search_tokens=["old"], name_sort="chou ying")
    ScanPosition.objects.create(job=search_tokens.job())
    rounds = iter([False, True])
    assert search_tokens.renew(now=NOON, until=lambda: next(rounds), chunk=3) == 3
    assert Profile.objects.filter(name_sort="qiu ying").count() == 3
    assert search_tokens.renew(now=NOON, until=lambda: False, chunk=3) == 4
    assert set(Profile.objects.values_list("name_sort", flat=True)) == {"qiu ying"}
    assert list(Profile.objects.values_list("search_tokens", flat=True)) == [names.tokens("仇英")] * 7
    assert ScanPosition.objects.get().finished_at == NOON
    assert search_tokens.renew(now=NOON, until=lambda: False) == 0
