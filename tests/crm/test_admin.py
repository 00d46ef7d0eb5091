"""Staff pages of crm: they open, they are bounded, and they go through the services."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm.kernel import actors, roles
from crm.models import ApiKey, MergeRecord, Profile, Source, StaffUser
from crm.services import merges, profiles, sources, touchpoints
from tests.crm.conftest import NOON, SYSTEM, ref

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(StaffUser.objects.create_superuser("boss", password="not-a-secret"))
    return client


def history(source: Source, number: int, user_id: str = "u-1") -> int:
    events = [
        touchpoints.Event(
            "Order Completed", NOON - timedelta(days=n * 20), f"{user_id}-{n}", identifiers=[("user_id", user_id)],
            properties={"revenue": "1.00", "order": n}, traits={},
        )
        for n in range(number)
    ]  # fmt: skip
    result = touchpoints.record(events, source=ref(source), actor=actors.source(source.pk), now=NOON)
    return next(profile_id for profile_id in result.profile_ids if profile_id is not None)


def page(client: Client, name: str, *args: Any) -> Any:
    return client.get(reverse(f"admin:{name}", args=args))


def test_every_list_opens(staff: Client, server_source: Source) -> None:
    history(server_source, 3)
    for model in (
        "profile", "mergerecord", "mergesuggestion", "identityrule", "consentrecord", "suppression",
        "ingestionwarning", "source", "apikey", "staffuser",
    ):  # fmt: skip
        assert page(staff, f"crm_{model}_changelist").status_code == 200, model
    for model in ("source", "apikey", "identityrule", "staffuser"):
        assert page(staff, f"crm_{model}_add").status_code == 200, model
    assert page(staff, "crm_source_change", server_source.pk).status_code == 200


def test_the_customer_page_shows_one_timeline_within_fifteen_queries(
    staff: Client, server_source: Source
) -> None:
    one = history(server_source, 50)
    other = profiles.resolve(
        [("email", "ann@example.com")],
        trust="server",
        actor=SYSTEM,
        now=NOON,
        names={"name": "张伟", "shoe": 38},
    )
    merges.merge(one, other, actor=SYSTEM, now=NOON)
    page(staff, "crm_profile_change", one)
    with CaptureQueriesContext(
        connection,
    ) as small:
        response = page(staff, "crm_profile_change", one)
    text = response.content.decode()
    assert response.status_code == 200
    assert "ann@example.com" in text
    assert "张伟" in text
    assert text.count("timeline-kind") == 30
    assert len(small) <= 15, [query["sql"][:60] + "…" + query["sql"][-60:] for query in small]
    history(server_source, 200)
    with CaptureQueriesContext(connection) as large:
        page(staff, "crm_profile_change", one)
    assert len(large) <= 15, [query["sql"][:90] for query in large]


def test_the_timeline_pages_without_gap_or_repeat(staff: Client, server_source: Source) -> None:
    one = history(server_source, 70)
    url, seen = reverse("admin:crm_profile_change", args=[one]), 0
    while url:
        text = staff.get(url).content.decode()
        seen += text.count("timeline-kind")
        url = text.split('class="more" hx-get="')[1].split('"')[0] if 'class="more" hx-get="' in text else ""
    assert seen == 70
    assert staff.get(reverse("admin:crm_profile_timeline", args=[one]), {"before": "x"}).status_code == 404


def test_a_merged_profile_leads_to_the_person(staff: Client) -> None:
    one = profiles.resolve([("user_id", "1a")], trust="server", actor=SYSTEM, now=NOON)
    two = profiles.resolve([("email", "b@example.com")], trust="server", actor=SYSTEM, now=NOON)
    merges.merge(one, two, actor=SYSTEM, now=NOON)
    assert page(staff, "crm_profile_change", two)["Location"] == reverse(
        "admin:crm_profile_change", args=[one]
    )
    assert page(staff, "crm_profile_change", 10**12).status_code == 404
    assert page(staff, "crm_profile_change", "x").status_code == 404


def test_merge_and_undo_from_the_pages(staff: Client) -> None:
    one = profiles.resolve([("user_id", "1a")], trust="server", actor=SYSTEM, now=NOON, names={"name": "Ann"})
    two = profiles.resolve(
        [("email", "b@example.com")], trust="server", actor=SYSTEM, now=NOON, names={"name": "Bea"}
    )
    url = reverse("admin:crm_profile_merge", args=[one])
    assert "Bea" in staff.get(url, {"q": "bea"}).content.decode()
    assert 'value="loser"' in staff.get(url, {"other": two}).content.decode()
    assert MergeRecord.objects.count() == 0
    assert staff.post(url, {"other": two, "choice-display_name": "loser"}).status_code == 302
    assert Profile.objects.get(pk=one).display_name == "Bea"
    record = MergeRecord.objects.get()
    listing = reverse("admin:crm_mergerecord_changelist")
    staff.post(listing, {"action": "undo", "_selected_action": [record.pk]})
    assert Profile.objects.get(pk=one).display_name == "Ann"
    assert Profile.objects.get(pk=two).merged_into_id is None


def test_erasing_needs_the_number(staff: Client) -> None:
    one = profiles.resolve([("user_id", "1a")], trust="server", actor=SYSTEM, now=NOON, names={"name": "Ann"})
    url = reverse("admin:crm_profile_erase", args=[one])
    assert staff.get(url).status_code == 405
    staff.post(url, {"confirm": "yes"})
    assert Profile.objects.get(pk=one).erased_at is None
    staff.post(url, {"confirm": str(one)})
    assert Profile.objects.get(pk=one).display_name == ""
    assert "erased" in page(staff, "crm_profile_change", one).content.decode()


def test_search_finds_by_name_and_identifier(staff: Client) -> None:
    profiles.resolve(
        [("email", "z@example.com")], trust="server", actor=SYSTEM, now=NOON, names={"name": "张伟"}
    )
    listing = reverse("admin:crm_profile_changelist")
    for text in ("张伟", "zhang", "z@example.com"):
        assert "张伟" in staff.get(listing, {"q": text}).content.decode()
    assert "张伟" not in staff.get(listing, {"q": "li"}).content.decode()


def test_sources_and_keys_are_made_by_the_services(staff: Client) -> None:
    assert (
        staff.post(reverse("admin:crm_source_add"), {"name": "Shop", "trust": "browser"}).status_code == 302
    )
    source = Source.objects.get()
    assert source.write_key.startswith("pk_")
    listing = reverse("admin:crm_source_changelist")
    assert source.write_key in staff.get(listing).content.decode()
    page_url = reverse("admin:crm_source_change", args=[source.pk])
    staff.post(page_url, {"action": "rotate", "overlap": "7"})
    assert Source.objects.get().write_key != source.write_key
    response = staff.post(
        reverse("admin:crm_apikey_add"), {"name": "BI", "scopes": ["crm.profile:read"]}, follow=True
    )
    key = ApiKey.objects.get()
    assert f"rx_{key.prefix}_" in response.content.decode()
    assert f"rx_{key.prefix}_" not in staff.get(reverse("admin:crm_apikey_changelist")).content.decode()


def test_write_keys_are_masked_for_those_who_may_not_read_them(client: Client, server_source: Source) -> None:
    user = StaffUser.objects.create_user("agent", password="not-a-secret", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_source"))
    client.force_login(user)
    text = client.get(reverse("admin:crm_source_changelist")).content.decode()
    assert server_source.name in text
    assert server_source.write_key not in text
    assert client.get(reverse("admin:crm_profile_changelist")).status_code == 403
    one = profiles.resolve([("user_id", "1a")], trust="server", actor=SYSTEM, now=NOON)
    for name in ("change", "timeline", "merge"):
        assert client.get(reverse(f"admin:crm_profile_{name}", args=[one])).status_code == 403
    assert client.post(reverse("admin:crm_profile_erase", args=[one]), {"confirm": one}).status_code == 403
    assert sources.find_api_key("rx_a_b") is None


def test_roles_name_their_permissions_in_the_reader_s_language(staff: Client) -> None:
    roles.sync()
    group = Group.objects.get(name="lead")
    english = page(staff, "auth_group_change", group.pk).content.decode()
    assert "People | profile | Can merge profiles and undo merges" in english
    assert "People | profile | View" in english
    staff.cookies["django_language"] = "zh-hans"
    chinese = page(staff, "auth_group_change", group.pk).content.decode()
    assert "| Can " not in chinese
    offered = re.findall(r'<option value="\d+"[^>]*>([^<]*)</option>', chinese)
    assert len(offered) > 100
    assert [text for text in offered if re.search("[a-z]{3,}", text)] == []
    assert "computed trait event" not in english
    assert "客户 | 客户档案 | 可以合并档案及撤销合并" in chinese
