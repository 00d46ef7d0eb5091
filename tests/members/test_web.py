"""Points over the API and on the staff pages."""

import uuid
from typing import Any

import pytest
from django.urls import reverse

from crm.kernel import actors, surfaces
from crm.models import Profile
from members.models import PointsAccount, PointsEntry
from members.services import points
from tests.voc import build
from tests.voc.build import AGENT, NOW

pytestmark = pytest.mark.django_db
BOTH = ("members.points:read", "members.points:write")


def public_id(profile_id: int) -> str:
    return str(Profile.objects.get(pk=profile_id).public_id)


def test_credit_and_debit_over_the_api(api: Any) -> None:
    client = api(*BOTH)
    ann = public_id(build.person("Ann"))
    made = client.post(
        "/api/v1/points/accounts/credit/", {"profile": ann, "amount": 40, "key": "o-1"}, format="json"
    )
    assert (made.status_code, made.json()["balance_after"]) == (201, 40)
    taken = client.post(
        "/api/v1/points/accounts/debit/", {"profile": ann, "amount": 15, "key": "r-1"}, format="json"
    )
    assert (taken.status_code, taken.json()["amount"]) == (201, -15)
    accounts = client.get(f"/api/v1/points/accounts/?profile={ann}").json()["results"]
    assert [(row["profile"], row["balance"]) for row in accounts] == [(ann, 25)]
    entries = client.get(f"/api/v1/points/entries/?profile={ann}").json()["results"]
    assert [row["amount"] for row in entries] == [-15, 40]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"amount": 0}, 400, "invalid_amount"),
        ({"amount": -1}, 400, "invalid_amount"),
        ({"amount": 0.5}, 400, "invalid_amount"),
        ({"amount": 10**18}, 400, "invalid_amount"),
        ({"amount": 41}, 409, "insufficient_points"),
        ({"key": "o-1"}, 422, "idempotency_key_reused"),
        ({"balance": 5}, 400, "unknown_field"),
        ({"profile": str(uuid.UUID(int=1))}, 404, "no_such_profile"),
        ({"kind": "thanks"}, 400, "invalid_choice"),
    ],
)
def test_bad_debits_take_nothing(api: Any, change: dict[str, Any], status: int, code: str) -> None:
    client = api(*BOTH)
    ann = public_id(build.person("Ann"))
    client.post(
        "/api/v1/points/accounts/credit/", {"profile": ann, "amount": 40, "key": "o-1"}, format="json"
    )
    body = {"profile": ann, "amount": 10, "key": "r-1", **change}
    answer = client.post("/api/v1/points/accounts/debit/", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (PointsAccount.objects.get().balance, PointsEntry.objects.count()) == (40, 1)


def test_only_a_lead_books(staff: Any) -> None:
    ann = build.person("Ann")
    points.credit(ann, amount=10, key="a", actor=AGENT, now=NOW)
    account = PointsAccount.objects.get()
    path = reverse("admin:members_pointsaccount_change", args=[account.pk])
    form = {"direction": "credit", "amount": "5", "note": "sorry", "key": str(uuid.uuid4())}
    agent, lead = staff("agent"), staff("lead")
    assert agent.get(path).status_code == 200
    assert agent.post(path, form).status_code == 403
    for _double_click in range(2):
        assert lead.post(path, form).status_code == 302
    account.refresh_from_db()
    assert account.balance == 15
    too_much = lead.post(path, {**form, "direction": "debit", "amount": "99", "key": str(uuid.uuid4())})
    assert too_much.status_code == 400 and "Not enough points" in too_much.content.decode()
    assert lead.get(reverse("admin:members_pointsaccount_changelist")).status_code == 200
    assert lead.get(reverse("admin:members_pointsentry_changelist")).status_code == 200


def test_the_ledger_names_people_and_bookers(staff: Any) -> None:
    ann = build.person("Ann")
    booker = staff("lead")
    entry = points.credit(
        ann, amount=40, key="o-1", note="For the photograph", actor=actors.staff(booker.user), now=NOW
    )
    listed = booker.get(reverse("admin:members_pointsentry_changelist")).content.decode()
    assert f'<a href="{reverse("admin:crm_profile_change", args=[ann])}">Ann</a>' in listed
    assert "+40" in listed
    assert f"staff:{booker.user.pk}" not in listed
    page = booker.get(reverse("admin:members_pointsentry_change", args=[entry.pk])).content.decode()
    assert "+40 points, Ann" in page
    assert "For the photograph" in page
    assert reverse("admin:members_pointsaccount_change", args=[entry.account_id]) in page


def test_panels_show_the_points(staff: Any) -> None:
    ann = build.person("Ann")
    points.credit(ann, amount=10, key="a", actor=AGENT, now=NOW)
    agent = staff("agent").user
    staff_panels = surfaces.profile_panels(profile_ids=[ann], now=NOW, user=agent)
    panel = next(one for one in staff_panels if str(one.title) == "Points")
    assert panel.rows[0][1] == 10
    mine = next(
        one for one in surfaces.person_panels(profile_ids=[ann], now=NOW) if str(one.title) == "My points"
    )
    assert [value for _label, value, _url in mine.rows] == [10, "+10"]
