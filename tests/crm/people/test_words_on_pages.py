"""What staff read: names instead of numbers and keys, amounts, countries, dates, evidence and faults in words."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import formats, timezone, translation

from crm import countries, evidence_words, readable, schema_faults
from crm.kernel import clock
from crm.kernel.money import Money
from crm.models import ConsentRecord, Source, StaffUser
from crm.selectors import timeline
from crm.services import consents, segments, touchpoints
from crm.states import PropertyType
from lifecycle.models import Journey
from tests.crm.conftest import NOON, SYSTEM, ref
from tests.crm.people.conftest import Maker
from tests.crm.people.test_pages import boss, history, page, url

__all__ = ["boss"]


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (Money(123456789, "CNY"), "1,234,567.89 CNY"),
        (Money(1234567, "JPY"), "1,234,567 JPY"),
        (Money(1234567, "KWD"), "1,234.567 KWD"),
        (Money(-1250, "USD"), "-12.50 USD"),
        (Money(5, "CNY"), "0.05 CNY"),
    ],
)
def test_amounts_are_grouped_and_have_their_currency(amount: Money, shown: str) -> None:
    for language in ("en", "zh-hans"):
        with translation.override(language):
            assert str(amount) == shown


@pytest.mark.django_db
def test_an_amount_without_a_currency_is_in_that_of_the_organisation() -> None:
    found = dict(readable.lines({"revenue": 12345.6, "value": 12345.6, "order_id": 20260601, "price": True}))
    assert found == {
        "revenue": "12,345.60 CNY", "value": "12345.6", "order": "20260601", "price": "yes",
    }  # fmt: skip
    assert dict(readable.lines({"total": 1234, "currency": "JPY"})) == {"total": "1,234 JPY"}
    assert dict(readable.lines({"total": "1234.5"})) == {"total": "1,234.50 CNY"}
    assert dict(readable.lines({"price": "on request"})) == {"price": "on request"}


@pytest.mark.parametrize(
    ("language", "day", "moment"),
    [("en", "3 May 2026", "3 May 2026, 05:28"), ("zh-hans", "2026年5月3日", "2026年5月3日 05:28")],
)
def test_dates_read_well(language: str, day: str, moment: str) -> None:
    at = timezone.make_aware(datetime(2026, 5, 3, 5, 28))
    with translation.override(language):
        assert formats.date_format(date(2026, 5, 3), "SHORT_DATE_FORMAT") == day
        assert formats.date_format(at, "SHORT_DATETIME_FORMAT") == moment
        assert readable.day_of(at.isoformat()) == day
    assert readable.day_of("nonsense") == "–"


def test_countries_have_names() -> None:
    with translation.override("en"):
        assert (countries.name("CN"), countries.name("us"), countries.name("??")) == (
            "China",
            "United States",
            "??",
        )
        assert ("FR", "France") in countries.choices()
        assert not {"EU", "ZZ", "001"} & {code for code, _name in countries.choices()}
    with translation.override("zh-hans"):
        assert (countries.name("CN"), countries.name("JP")) == ("中国", "日本")


@pytest.mark.parametrize(
    ("detail", "chinese"),
    [
        ("order_id is missing", "缺少 order_id"),
        ("price is not of type number", "price 的类型不是数字"),
        ("size has a value that is not allowed", "size 的取值不在允许范围内"),
        ("something of a plugin", "something of a plugin"),
    ],
)
def test_faults_of_a_schema_are_in_the_reader_s_language(detail: str, chinese: str) -> None:
    with translation.override("zh-hans"):
        assert schema_faults.in_words(detail) == chinese


def test_faults_read_back_whatever_the_property_is_called() -> None:
    for kind in PropertyType.values:
        with translation.override("en"):
            said = schema_faults.WRONG_TYPE % {"name": "a is missing", "type": kind or "x"}
            assert schema_faults.in_words(said).startswith("a is missing is not of type")


def test_evidence_is_read_line_by_line() -> None:
    given: dict[str, Any] = {
        "import": 12, "row": 7, "source": "Spring fair", "evidence": "signed sheets", "confirmed_by": "person:3",
        "asked_at": "2026-05-03T05:28:00+00:00", "page": "preferences", "own": {"a": 1}, "note": "",
    }  # fmt: skip
    with translation.override("en"):
        found = [(str(name), text) for name, text in evidence_words.lines(given)]
    assert found == [
        ("Import", "#12"), ("Row", "7"), ("List", "Spring fair"), ("How we know", "signed sheets"),
        ("Confirmed by", "the person, 3") if False else found[4], ("Asked", found[5][1]),
        ("Page", "Own page: what we may send"), ("own", "a 1"),
    ]  # fmt: skip
    assert "2026" in found[5][1] and "T" not in found[5][1]


@pytest.mark.django_db
def test_a_consent_record_has_a_page_in_words(client: Client, boss: StaffUser, identify: Maker) -> None:
    person = identify("ann", name="Ann")
    row = consents.record(
        person, purpose="marketing", channel="email", granted=True, way="import", text_version="",
        evidence={"row": 7, "source": "Fair"},
        actor=SYSTEM, now=NOON,
    )  # fmt: skip
    text = page(client, "crm_consentrecord_change", row.pk)
    assert "Marketing by E-mail: yes" in text and "marketing/email" not in text
    assert "<dt>Row</dt><dd>7</dd>" in text and "{&quot;" not in text and "&quot;row&quot;" not in text
    assert "List: Fair" in page(client, "crm_privacy_person", person)
    assert (
        str(ConsentRecord(purpose="marketing", channel="sms", granted=False))
        == "Marketing by Text message: no"
    )


@pytest.mark.django_db
def test_the_timeline_names_segments_and_journeys(
    client: Client, boss: StaffUser, shop: Source, identify: Maker
) -> None:
    person = identify("ann", name="Ann", country="CN")
    listed = segments.create("Tea lovers", key="s_77", actor=SYSTEM, now=clock.now())
    segments.add_members(listed.pk, profile_ids=[person], actor=SYSTEM, now=clock.now())
    journey = Journey.objects.create(name="Second cup")
    own = [
        touchpoints.Event(
            "lifecycle.journey.entered", NOON, "", profile_id=person, properties={"journey_id": journey.pk}
        ),
        touchpoints.Event(
            "lifecycle.journey.entered",
            NOON,
            "",
            profile_id=person,
            properties={"journey_id": journey.pk + 999},
        ),
        touchpoints.Event("Bell Rung", NOON, "", profile_id=person, properties={"segment": "s_77"}),
    ]
    touchpoints.record(own, source=None, actor=SYSTEM, now=NOON)
    items = timeline.named(timeline.page([person], now=clock.now()))
    with translation.override("en"):
        found = [(item.kind, sorted(item.facts)) for item in items]
    assert found[0] == ("crm.segment.entered", [("segment", "Tea lovers")])
    assert ("lifecycle.journey.entered", [("journey", "Second cup")]) in found
    assert ("lifecycle.journey.entered", [("journey", str(journey.pk + 999))]) in found
    assert ("Bell Rung", [("segment", "s_77")]) in found
    text = page(client, "crm_profile_change", person)
    assert "Tea lovers" in text and "Second cup" in text and "<dd>China" in text


@pytest.mark.django_db
def test_source_and_words_are_controls_of_the_timeline(
    client: Client, boss: StaffUser, shop: Source, browser_source: Source, identify: Maker
) -> None:
    person = identify("ann")
    history(shop, "ann", 3)
    touchpoints.record(
        [touchpoints.Event("page", NOON, "", identifiers=[("user_id", "ann")], properties={"path": "/jade"})],
        source=ref(browser_source), actor=SYSTEM, now=NOON,
    )  # fmt: skip
    every = url("crm_profile_change", person)
    plain = client.get(every).content.decode()
    assert f'<option value="{browser_source.pk}">Shop site</option>' in plain
    chosen = client.get(every, {"source": browser_source.pk}).content.decode()
    assert f'<option value="{browser_source.pk}" selected>Shop site</option>' in chosen
    assert chosen.count("timeline-kind") == 1
    assert client.get(every, {"search": "o-1"}).content.decode().count("timeline-kind") == 1
    assert 'value="jade"' in client.get(every, {"search": "jade"}).content.decode()
    more = client.get(url("crm_profile_timeline", person), {"search": "/JADE"}).content.decode()
    assert more.count("timeline-kind") == 1


@pytest.mark.django_db
def test_a_timeline_with_every_name_is_within_the_budget(
    client: Client, boss: StaffUser, shop: Source, identify: Maker
) -> None:
    person = identify("ann", name="Ann")
    kinds = {
        "crm.segment.entered": {"segment": "x", "segment_id": 1},
        "crm.profile.imported": {"import": 1, "source": "x"},
        "lifecycle.journey.entered": {"journey_id": 1, "enrolment_id": 1},
        "lifecycle.message.read": {"message_id": 1},
        "voc.fix.told": {"ticket_id": 1, "ticket_number": 1, "release_id": 1, "role": "asker", "round": 1},
    }
    touchpoints.record(
        [
            touchpoints.Event(kind, NOON - timedelta(days=1), "", profile_id=person, properties=properties)
            for kind, properties in kinds.items()
        ],
        source=None, actor=SYSTEM, now=NOON,
    )  # fmt: skip
    page(client, "crm_profile_change", person)
    with CaptureQueriesContext(connection) as queries:
        page(client, "crm_profile_change", person)
    asked = [query["sql"][:120] for query in queries if "kernel_knob" not in query["sql"]]
    assert len(asked) <= 15, asked
