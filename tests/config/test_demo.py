"""The demo company: loaded once, as a whole, through the services, and reaching nobody."""

import socket
from dataclasses import dataclass
from io import StringIO
from ipaddress import ip_address

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.management import call_command
from django.db import transaction
from django.db.models import Q

from config.demo import company, people, shop
from config.demo.client import daytime_zone, link_in
from config.demo.state import KeptMailer
from crm.kernel import clock, roles
from crm.kernel.models import PendingReaction
from crm.models import (
    Account,
    ContactPoint,
    ImportRun,
    IngestionWarning,
    MergeRecord,
    MergeSuggestion,
    Profile,
    ProfileLink,
    ProfileNote,
    Source,
    Touchpoint,
)
from lifecycle.models import Enrolment, InboxItem, Journey, OutboundMessage
from members.models import PointsEntry
from voc.models import Feedback, Release, Ticket
from voc.selectors import progress
from voc.states import TicketStatus

NOW = clock.now()
COUNTED = (
    Profile, Ticket, OutboundMessage, PointsEntry, Feedback, Account, ProfileNote, MergeSuggestion,
)  # fmt: skip
FAN = Q(value__endswith="@fans.example") | Q(value__startswith="+861380000")


@dataclass(frozen=True)
class Load:
    """What one load printed, and to whom it wrote."""

    printed: list[str]
    written_to: list[str]


def load() -> list[str]:
    """Run the command; the lines it prints."""
    out = StringIO()
    call_command("load_demo", stdout=out, stderr=StringIO())
    return out.getvalue().split("\n")[:-1]


def guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but this machine may be connected to."""
    connect = socket.socket.connect

    def guarded(self, address):
        if isinstance(address, tuple) and not ip_address(address[0]).is_loopback:
            raise AssertionError(f"a connection to {address[0]} was tried")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: pytest.fail(f"looked up {args[0]}"))


@pytest.fixture(scope="module")
def loaded(django_db_setup, django_db_blocker):
    """The company, loaded once for these tests; it is gone again when they end."""
    with django_db_blocker.unblock(), transaction.atomic():
        roles.sync()
        mail.outbox = []
        with pytest.MonkeyPatch.context() as monkeypatch:
            guard(monkeypatch)
            printed = load()
        yield Load(printed, [address for letter in mail.outbox for address in letter.to])
        transaction.set_rollback(True)


@pytest.fixture
def demo(loaded, db):
    """One test's view of the company; what the test writes is undone."""
    return loaded


def test_the_company_is_whole(demo):
    """Everything a newcomer is to see is there, and nothing waits that a worker would have done."""
    assert demo.printed == [Source.objects.get(name=company.SERVER_NAME).write_key]
    assert sorted(Source.objects.values_list("trust", flat=True)) == ["browser", "server", "server"]
    assert len(people.CUSTOMERS) == 60
    # They, the one of the till, and the fans of the old list; who was erased counts no more.
    fans = Profile.objects.roots().filter(pk__in=ContactPoint.objects.filter(FAN).values("profile"))
    assert Profile.objects.roots().count() == 60 + 1 + fans.count()
    assert fans.count() > 200
    assert MergeRecord.objects.count() == 1
    assert list(ImportRun.objects.values_list("status", flat=True)) == ["done"]
    pairs = MergeSuggestion.objects.values_list("first__display_name", "second__display_name", "score")
    assert ("Demo Wren", "Wren Demo", 85) in pairs
    assert {"Demo Rowan", "Demo Hazel"} in [{first, second} for first, second, score in pairs if score == 40]
    assert IngestionWarning.objects.count() > 0
    visits = shop.visits(today=NOW.date())
    assert Touchpoint.objects.filter(kind="Order Completed").count() >= 150
    assert len({visit.at.date() for visit in visits}) > 50
    assert {visit.properties.get("currency") for visit in visits} == {None, "CNY", "USD"}
    assert set(Ticket.objects.values_list("status", flat=True)) == set(TicketStatus.values)
    assert Ticket.objects.count() == 15
    assert Ticket.objects.overdue(clock.now()).count() == 2
    assert Feedback.objects.undecided().count() == 6
    assert list(Release.objects.order_by("created_at").values_list("status", flat=True)) == [
        "shipped",
        "shipped",
        "withdrawn",
        "draft",
    ]
    journey = Journey.objects.get()
    assert journey.status == "active"
    assert Enrolment.objects.filter(status="waiting").count() == 5
    assert not PendingReaction.objects.exists()
    assert PointsEntry.objects.filter(kind="thanks").count() == 13
    for username, group in (("demo-mei", "agent"), ("demo-lan", "lead"), ("demo-ada", "analyst")):
        user = get_user_model().objects.get(username=username)
        assert not user.has_usable_password()
        assert [one.name for one in user.groups.all()] == [group]


def test_accounts_and_notes(demo):
    """Two accounts with their people, counted; notes that are read first, and others; a household."""
    rows = Account.objects.order_by("group_id")
    assert [(row.group_id, row.people, row.stale_at) for row in rows] == [
        ("demo-camphor-guesthouse", 3, None),
        ("demo-paper-kite", 2, None),
    ]
    assert all(row.touchpoints_lately > 0 and row.orders and row.rolled_up_at for row in rows)
    assert sorted(ProfileNote.objects.values_list("category", "is_pinned")) == [
        ("accessibility", True),
        ("accessibility", True),
        ("handover", False),
        ("handover", False),
        ("taste", False),
        ("taste", False),
    ]
    assert ProfileLink.objects.get().kind == "household"


def test_who_was_told_and_who_not(demo):
    """The release of the autumn: most were told, each of the others has a reason, and the inbox has it anyway."""
    release = Release.objects.get(title__startswith="Autumn cup")
    found = progress.of_release(release.pk)
    assert (found.people, found.told, found.waiting, found.not_told) == (42, 37, 0, 5)
    assert {(code, number) for code, _label, number in found.reasons} == {
        ("no_address", 4),
        ("unsubscribed", 1),
    }
    fixes = OutboundMessage.objects.filter(kind="voc.fix_told")
    assert InboxItem.objects.filter(message__in=fixes).count() == fixes.count() == 54


def test_loading_again_changes_nothing(demo):
    """The second load finds the first and prints the same key."""
    before = [model.objects.count() for model in COUNTED]
    touchpoints = Touchpoint.objects.count()
    assert load() == demo.printed
    assert [model.objects.count() for model in COUNTED] == before
    assert Touchpoint.objects.count() == touchpoints


def test_what_must_hold_holds(demo):
    """Ledgers and every other invariant are whole."""
    out = StringIO()
    call_command("verify_ledgers", stdout=out)
    call_command("verify_invariants", stdout=out)
    assert "FAIL" not in out.getvalue()


def test_only_example_addresses(demo):
    """Nobody real can be reached, and what would have been mailed was kept."""
    values = ContactPoint.objects.values_list("channel", "value")
    assert {value.rpartition("@")[2] for channel, value in values if channel == "email"} == {
        "example.com",
        "example.org",
        "fans.example",
    }
    assert all(value.startswith(("+1202555", "+861380000")) for channel, value in values if channel == "sms")
    assert len(demo.written_to) > 40
    assert {address.rpartition("@")[2] for address in demo.written_to} == {"example.com", "example.org"}


def test_demo_mail_is_kept_whatever_email_url_says(settings, tmp_path):
    """With a real mail server configured, the loader still writes to a folder."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.DATA_DIR = tmp_path
    with KeptMailer() as mailer:
        mailer._open()
        assert type(mailer._backend).__module__ == "django.core.mail.backends.filebased"
        assert mailer._backend.file_path == str(tmp_path / "mail" / "demo")


def test_other_people_are_left_alone(demo):
    """A database with people, and without the line that says they are ours, is left as it is."""
    before = Profile.objects.count(), Source.objects.count()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(company, "MARK", ("config.demo", "another-company"))
        assert load() == []
    assert (Profile.objects.count(), Source.objects.count()) == before


def test_the_visits_are_the_same_every_time():
    """Made-up, not random: two machines have the same demo company."""
    first, second = shop.visits(today=NOW.date()), shop.visits(today=NOW.date())
    assert first == second
    assert len({visit.message_id for visit in first}) == len(first)


def test_it_is_always_day_somewhere():
    """The walk's people live where quiet hours do not hold it up."""
    from datetime import timedelta
    from zoneinfo import ZoneInfo

    start = NOW.replace(minute=0)
    for hour in range(24):
        now = start + timedelta(hours=hour)
        assert 11 <= now.astimezone(ZoneInfo(daytime_zone(now))).hour <= 17


def test_links_are_found_in_letters():
    """Without their host, up to the first blank."""
    text = "Open https://crm.example.com/confirm/abc:def/ now\nhttps://crm.example.com/me/xyz/"
    assert link_in(text, "/confirm/") == "/confirm/abc:def/"
    assert link_in(text, "/me/") == "/me/xyz/"
    assert link_in(text, "/u/") == ""
