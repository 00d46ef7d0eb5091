"""The pages every member of staff meets: home, sidebar, knobs, language, errors."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.urls import reverse
from django.utils import timezone

from config import navigation
from crm.kernel import knobs, roles, surfaces
from crm.kernel.models import ActionLog, Knob, PendingReaction

HOME = "/admin/"
KNOBS = "/admin/kernel/knob/"


@pytest.fixture
def staff(db):
    """Make a signed-in member of staff with a role, or with single permissions."""
    roles.sync()

    def make(client, role="", permissions=(), **fields):
        user = get_user_model().objects.create_user(
            f"{role or 'nobody'}-1", password="pass-word-1", is_staff=True, **fields
        )
        if role:
            user.groups.add(Group.objects.get(name=role))
        for name in permissions:
            app, _, codename = name.partition(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        client.force_login(user)
        return user

    return make


@pytest.fixture
def knob():
    """A knob of this test alone, as the apps register theirs."""
    made = knobs.register(
        "crm.test_patience", type=int, default=3, minimum=1, maximum=9, unit="cups", label="Patience"
    )
    yield made
    knobs._registry.pop(made.name)
    knobs.forget()


@pytest.fixture
def cards(monkeypatch):
    """Home cards of this test alone."""
    monkeypatch.setattr(surfaces, "_home_cards", {})
    return surfaces.home_card


def person():
    from crm.kernel import actors, clock
    from crm.services import profiles

    return profiles.resolve(
        [("user_id", "first")], trust="server", actor=actors.system("test"), now=clock.now()
    )


def test_without_people_the_home_page_says_how_to_connect_a_source(client, staff, cards):
    staff(client, "admin")
    page = client.get(HOME).content.decode()
    assert "Connect a source" in page
    assert "manage.py create_write_key shop" in page
    assert "Today in numbers" not in page
    assert "Invite your colleagues" in page


def test_the_home_page_shows_the_cards_and_puts_the_bad_ones_first(client, staff, cards):
    person()

    @cards("a", order=1)
    def fine(**context):
        return surfaces.Card("Told in time", "97 %", tone="good")

    @cards("b", order=2)
    def worth_a_look(**context):
        return surfaces.Card("Drafts", 2, tone="warn", url="/drafts/")

    @cards("c", order=3)
    def late(**context):
        return surfaces.Card("Overdue", 4, "oldest 3 days", "/late/", "bad")

    staff(client, "agent")
    response = client.get(HOME)
    assert [card.title for card in response.context["cards"]] == ["Told in time", "Drafts", "Overdue"]
    assert [card.title for card in response.context["attention"]] == ["Overdue", "Drafts"]
    page = response.content.decode()
    assert "Connect a source" not in page
    assert '<a href="/late/">Overdue: 4</a>' in page


def test_a_card_that_fails_does_not_take_the_page_with_it(client, staff, cards):
    person()

    @cards("broken", order=1)
    def broken(**context):
        raise RuntimeError("no")

    staff(client, "agent")
    response = client.get(HOME)
    assert response.status_code == 200
    assert [str(card.title) for card in response.context["cards"]] == ["Not available"]


@pytest.mark.parametrize(("role", "expected"), [("lead", ["Reactions that gave up"]), ("agent", [])])
def test_parked_reactions_are_shown_to_those_who_may_see_them(client, staff, cards, role, expected):
    now = timezone.now()
    PendingReaction.objects.create(
        receiver="members.receivers.thank", items=[1], created_at=now, run_at=now, parked_at=now, claims=5
    )
    staff(client, role)
    assert [card.title for card in client.get(HOME).context["attention"]] == expected


def test_staff_without_a_role_are_told_whom_to_ask(client, staff):
    staff(client)
    page = client.get(HOME).content.decode()
    assert "You have no role yet" in page


def test_every_entry_of_the_sidebar_has_a_page():
    missing = [
        entry.model
        for _title, entries in navigation.GROUPS
        for entry in entries
        if navigation.page_of(entry.model) is None
    ]
    assert missing == []


def test_every_page_stands_in_the_sidebar():
    from django.contrib import admin

    listed = {entry.model for _title, entries in navigation.GROUPS for entry in entries}
    assert {model._meta.label_lower for model in admin.site._registry} - listed == set()


@pytest.mark.parametrize(
    ("role", "groups"),
    [("", {"Today"}), ("analyst", None), ("agent", None), ("lead", None), ("admin", None)],
)
def test_the_sidebar_offers_only_what_opens(client, staff, role, groups):
    staff(client, role)
    shown = client.get(HOME).context["sidebar_navigation"]
    if groups is not None:
        assert {group["title"] for group in shown} == groups
    for group in shown:
        for item in group["items"]:
            assert client.get(item["link"]).status_code == 200, item["link"]


def test_a_knob_is_changed_and_reset_through_its_page(client, staff, knob):
    user = staff(client, "admin")
    answer = client.post(KNOBS, {"name": knob.name, "value": "7"})
    assert (answer.status_code, answer["Location"]) == (302, f"{KNOBS}#knob-crm-test_patience")
    assert knobs.get(knob.name) == 7
    assert ActionLog.objects.filter(actor=f"staff:{user.pk}", action="kernel.knob.changed").count() == 1
    assert "Changed" in client.get(KNOBS).content.decode()
    client.post(KNOBS, {"name": knob.name, "value": "7", "reset": "1"})
    assert knobs.get(knob.name) == 3
    assert not Knob.objects.filter(name=knob.name).exists()


def test_a_value_out_of_bounds_is_refused_beside_its_box(client, staff, knob):
    staff(client, "admin")
    answer = client.post(KNOBS, {"name": knob.name, "value": "10"})
    assert answer.status_code == 400
    page = answer.content.decode()
    assert "Patience takes a value from 1 to 9." in page
    assert 'value="10"' in page
    assert not Knob.objects.exists()
    assert not ActionLog.objects.exists()


def test_an_unknown_knob_is_404_and_reading_does_not_mean_turning(client, staff, knob):
    staff(client, "lead")
    assert client.get(KNOBS).status_code == 200
    assert client.post(KNOBS, {"name": knob.name, "value": "7"}).status_code == 403
    assert client.post(KNOBS, {"name": "no.such", "value": "7"}).status_code == 404
    assert not Knob.objects.exists()


def test_an_agent_does_not_see_the_knobs(client, staff, knob):
    staff(client, "agent")
    assert client.get(KNOBS).status_code == 403


def test_the_language_switch_is_remembered_with_the_user(client, staff):
    user = staff(client, "agent")
    assert '<html lang="en"' in client.get(HOME).content.decode()
    answer = client.post(reverse("staff-language"), {"language": "zh-hans", "next": HOME})
    assert (answer.status_code, answer["Location"]) == (302, HOME)
    user.refresh_from_db()
    assert user.language == "zh-hans"
    assert '<html lang="zh-hans"' in client.get(HOME).content.decode()
    client.cookies.clear()
    client.force_login(user)  # another browser
    assert '<html lang="zh-hans"' in client.get(HOME).content.decode()


def test_the_language_switch_leads_nowhere_else_and_takes_only_our_languages(client, staff):
    user = staff(client, "agent")
    answer = client.post(reverse("staff-language"), {"language": "tlh", "next": "https://elsewhere.example/"})
    assert answer["Location"] == "/"
    user.refresh_from_db()
    assert user.language == ""
    assert client.get(reverse("staff-language")).status_code == 405


@pytest.mark.parametrize(
    ("path", "language", "title"),
    [
        ("/no/such/page/", "en", "There is nothing here"),
        ("/no/such/page/", "zh-hans", None),
    ],
)
def test_a_missing_page_says_so_in_the_readers_language(client, db, path, language, title):
    answer = client.get(path, headers={"Accept-Language": language})
    assert answer.status_code == 404
    page = answer.content.decode()
    assert f'<html lang="{language}">' in page
    assert title is None or title in page


@pytest.mark.parametrize("path", ["/api/v1/no-such/", "/v1/no/such/call", "/api/nothing"])
def test_programs_get_problem_details_instead_of_pages(client, db, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"
    assert answer.json()["status"] == 404


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (400, "That could not be read"),
        (403, "You may not open this"),
        (404, "There is nothing here"),
        (410, "This is over"),
        (429, "Too many tries"),
        (500, "Something broke on our side"),
        (503, "Back in a moment"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/admin/"])
def test_each_status_has_its_page_without_a_database(rf, status, title, path):
    from config import error_pages

    answer = error_pages.respond(rf.get(path), status)
    page = answer.content.decode()
    assert answer.status_code == status
    assert title in page
    assert f'href="{path}"' in page


def test_a_refusal_that_no_view_answered_becomes_its_page(rf):
    from config import error_pages
    from crm.kernel.errors import Gone, NotFound

    middleware = error_pages.DomainErrors(lambda request: None)
    over = middleware.process_exception(rf.get("/u/x/"), Gone("This link is over."))
    assert over.status_code == 410
    assert "This link is over." in over.content.decode()
    missing = middleware.process_exception(rf.get("/t/x/"), NotFound("Profile 7 is hidden."))
    assert missing.status_code == 404
    assert "Profile 7" not in missing.content.decode()
    assert middleware.process_exception(rf.get("/"), RuntimeError("no")) is None


def test_a_form_without_its_token_is_explained(db):
    from django.test import Client

    answer = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "a", "password": "b"})
    assert answer.status_code == 403
    assert "reload the page" in answer.content.decode()


def test_the_admin_role_cannot_lift_itself_above_its_own_rights(client, staff):
    me = staff(client, "admin", email="me@example.com")
    boss = get_user_model().objects.create_superuser("boss", password="pass-word-2")
    form = {
        "username": me.username, "first_name": "", "last_name": "", "email": "", "team": "x", "language": "",
        "time_zone": "", "is_active": "on", "is_staff": "on", "is_superuser": "on",
        "groups": [group.pk for group in me.groups.all()],
        "user_permissions": [Permission.objects.get(codename="delete_group").pk],
    }  # fmt: skip
    assert client.post(f"/admin/crm/staffuser/{me.pk}/change/", form).status_code == 302
    me.refresh_from_db()
    assert (me.team, me.is_superuser, me.user_permissions.count()) == ("x", False, 0)
    assert client.post(f"/admin/crm/staffuser/{boss.pk}/change/", form).status_code == 403
    new = {"password1": "another-Word-9", "password2": "another-Word-9", "usable_password": "true"}
    assert client.post(f"/admin/crm/staffuser/{boss.pk}/password/", new).status_code == 403
    boss.refresh_from_db()
    assert boss.check_password("pass-word-2")


def test_the_way_to_a_page_uses_the_words_of_the_sidebar(client, staff):
    staff(client, "lead")
    page = client.get("/admin/crm/mergesuggestion/").content.decode()
    heading = page[page.index('<h1 class="page-heading') :]
    heading = heading[: heading.index("</h1>")]
    assert "One profile per person" in heading
    assert "Same person?" in heading
    assert "Merge suggestions" not in heading
    title = page[page.index("<title>") + 7 : page.index("</title>")]
    assert " ".join(title.split()) == "Same person? | Renxin"


def test_a_page_of_a_row_leads_back_to_its_list(client, staff):
    staff(client, "lead")
    one = person()
    page = client.get(f"/admin/crm/profile/{one}/change/").content.decode()
    assert '<a href="/admin/crm/profile/" class="crumb">Customers</a>' in page
    assert (
        '<a href="/admin/crm/profile/" class="crumb">'
        not in client.get("/admin/crm/profile/").content.decode()
    )


def test_only_a_narrowed_list_counts_results_and_offers_all(client, staff):
    staff(client, "lead")
    assert "Show all" not in client.get("/admin/kernel/actionlog/").content.decode()
    narrowed = client.get("/admin/kernel/actionlog/", {"object_kind": "voc.ticket"}).content.decode()
    assert "0 results" in narrowed
    assert "Show all" in narrowed
