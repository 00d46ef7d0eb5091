"""The pages of the door in a real browser: a source live, warnings, and a schema typed without JSON."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.urls import reverse

from crm.kernel import actors, clock, roles
from crm.models import EventKind, KindProperty, Source
from crm.services import catalogue, kind_learning, sources, touchpoints, warnings
from crm.services.touchpoints import Event, SourceRef

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PASSWORD = "Correct-horse-7"
ACTOR = actors.system("test")
PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1440, "height": 900}


def send(source, first, number=1):
    now = clock.now()
    events = [
        Event(
            "Tea Tasted", now, f"m-{n}", identifiers=[("user_id", f"u-{n}")],
            properties={"rating": n % 5, "tea": "longjing"},
        )
        for n in range(first, first + number)
    ]  # fmt: skip
    ref = SourceRef(source.pk, source.trust, source.name)
    touchpoints.record(events, source=ref, actor=actors.source(source.pk), now=now)


@pytest.fixture
def shop():
    """A source with a replaced key, ten events, two warnings, and `mei`, who has the role admin."""
    roles.sync()
    mei = get_user_model().objects.create_user("mei", password=PASSWORD, is_staff=True)
    mei.groups.add(Group.objects.get(name="admin"))
    now = clock.now()
    source = sources.create("Web shop 网店", trust="server", actor=ACTOR, now=now)
    sources.rotate(source.pk, works_until=now + timedelta(days=7), actor=ACTOR, now=now)
    send(source, 0, 10)
    sample = {"index": 0, "message_id": "m-1", "kind": "x", "detail": "event has no name", "stored": False}
    for code in ("invalid_event", "rate_limited"):
        warnings.write([(code, 3, sample)], source_id=source.pk, now=now)
    kind_learning.learn(now=clock.now())
    return Source.objects.get()


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_pages_are_whole_in_both_sizes(open_page, shop, language):
    watched = open_page(language=language)
    watched.sign_in("mei", PASSWORD)
    kind = EventKind.objects.get(name="Tea Tasted")
    pages = [
        reverse("admin:crm_source_change", args=[shop.pk]),
        reverse("admin:crm_ingestionwarning_changelist"),
        reverse("admin:crm_eventkind_changelist"),
        reverse("admin:crm_eventkind_change", args=[kind.pk]) + "?suggest=1",
    ]
    faults = []
    for path in pages:
        for size in (WIDE, PHONE):
            watched.page.set_viewport_size(size)
            watched.open(path)
            faults += [f"{path} {size['width']}: {fault}" for fault in watched.faults()]
            if watched.overflow() > 0:
                faults.append(f"{path} {size['width']}: {watched.overflow()} pixels too wide")
            watched.complaints.clear()
    assert not faults, "\n".join(faults)


def test_new_events_appear_by_themselves_until_paused(open_page, shop):
    watched = open_page()
    page = watched.page
    watched.sign_in("mei", PASSWORD)
    watched.open(reverse("admin:crm_source_change", args=[shop.pk]))
    assert page.locator("#live tbody tr").count() == 10
    send(shop, 100)
    page.wait_for_function("document.querySelectorAll('#live tbody tr').length === 11")
    page.click("button[data-pause]")
    assert page.locator("button[data-pause]").get_attribute("aria-pressed") == "true"
    send(shop, 200)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/live/" in request.url else None)
    page.wait_for_timeout(5500)
    assert asked == []
    assert page.locator("#live tbody tr").count() == 11
    page.click("button[data-pause]")
    page.wait_for_function("document.querySelectorAll('#live tbody tr').length === 12")
    assert watched.complaints == []


def test_a_suggested_schema_gets_a_line_and_is_saved(open_page, shop):
    watched = open_page()
    page = watched.page
    watched.sign_in("mei", PASSWORD)
    kind = EventKind.objects.get(name="Tea Tasted")
    watched.open(reverse("admin:crm_eventkind_change", args=[kind.pk]))
    page.click("text=Suggest from what arrives")
    page.wait_for_url("**suggest=1*")
    page.click("[data-add-line]")
    page.locator(".schema .line:last-child input[name$='-name']").fill("price")
    page.locator(".schema .line:last-child select").select_option("number")
    page.click("text=Save the schema")
    page.wait_for_url(lambda url: "suggest" not in url)
    assert list(KindProperty.objects.values_list("name", "type", "is_required")) == [
        ("price", "number", False), ("rating", "integer", True), ("tea", "string", True),
    ]  # fmt: skip
    assert catalogue.suggest(kind.pk) != []
