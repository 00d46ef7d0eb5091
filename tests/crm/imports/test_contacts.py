"""Lists of people: who they become, what is refused, and that the dry run tells the truth."""

from __future__ import annotations

import pytest

from crm.kernel.errors import Conflict, Invalid
from crm.models import (
    ConsentRecord,
    ContactPoint,
    Identity,
    ImportMember,
    ImportReject,
    ImportRun,
    MergeSuggestion,
    Profile,
    Source,
    Touchpoint,
)
from crm.selectors import consents, contacts
from crm.selectors import profiles as profile_reads
from crm.services import import_work, imports, profiles, suppressions
from tests.crm.conftest import NOON, SYSTEM
from tests.crm.imports.conftest import AGREED, EVIDENCE, STAFF, Lists

LIST = """姓名,手机号,邮箱,生日,省份,备注
王小明,13800138000,Ming@Example.com,1990-05-21,江苏,喜欢绿茶
李娜,139-0013-9000,,1988/2/3,北京,
"""


def person(kind: str, value: str) -> Profile:
    return Profile.objects.get(pk=Identity.objects.get(kind=kind, value=value).profile_id)


def test_a_chinese_list_becomes_people(lists: Lists) -> None:
    run = lists.bring(LIST, consent=AGREED)
    ming = person("phone", "+8613800138000")
    assert (ming.display_name, ming.region, str(ming.birthday)) == ("王小明", "江苏", "1990-05-21")
    assert ming.name_sort == "wang xiao ming"
    assert ming.traits == {"备注": "喜欢绿茶", "tie_strength": "weak"}
    source = Source.objects.get(name="Fans 2019")
    assert source.is_active is False
    assert ming.value_sources["region"] == {
        "by": f"source:{source.pk}",
        "trust": "import",
        "at": NOON.isoformat(),
    }
    assert ming.value_sources["traits.备注"]["trust"] == "import"
    assert set(Identity.objects.filter(profile=ming).values_list("kind", "value", "source_id")) == {
        ("phone", "+8613800138000", source.pk),
        ("email", "ming@example.com", source.pk),
    }
    assert set(
        ContactPoint.objects.filter(profile=ming).values_list("channel", "value", "origin", "is_primary")
    ) == {
        ("sms", "+8613800138000", "import_with_evidence", True),
        ("email", "ming@example.com", "import_with_evidence", True),
    }
    assert [p.pk for p in profile_reads.search("王小明")] == [ming.pk]
    assert [p.pk for p in profile_reads.search("ming@example.com")] == [ming.pk]
    assert run.counters["created"] == 2 and run.rows_total == 2
    assert list(ImportMember.objects.order_by("row").values_list("run_id", "row", "is_new")) == [
        (run.pk, 2, True),
        (run.pk, 3, True),
    ]
    assert Touchpoint.objects.filter(profile_id__in=[ming.pk]).count() == 0


def test_consent_is_written_with_its_evidence_where_there_is_an_address(lists: Lists) -> None:
    run = lists.bring(LIST, consent={**AGREED, "text_version": "marketing-1", "agreed_on": "2019-05-21"})
    ming, na = person("phone", "+8613800138000"), person("phone", "+8613900139000")
    rows = ConsentRecord.objects.filter(profile=ming).order_by("channel")
    assert [(r.purpose, r.channel, r.granted, r.way, r.text_version) for r in rows] == [
        ("marketing", "email", True, "import", "marketing-1"),
        ("marketing", "sms", True, "import", "marketing-1"),
    ]
    assert rows[0].evidence == {"import": run.pk, "row": 2, "source": "Fans 2019", "evidence": EVIDENCE}
    assert rows[0].occurred_at.date().isoformat() == "2019-05-21"
    assert list(ConsentRecord.objects.filter(profile=na).values_list("channel", flat=True)) == ["sms"]
    assert consents.allowed([ming.pk, na.pk], purpose="marketing", channel="email") == {
        ming.pk: True,
        na.pk: False,
    }
    assert set(contacts.deliverable([ming.pk, na.pk], "sms")) == {ming.pk, na.pk}


def test_without_consent_nobody_is_contactable(lists: Lists) -> None:
    run = lists.bring(LIST)
    ming = person("phone", "+8613800138000")
    assert ConsentRecord.objects.count() == 0
    assert set(ContactPoint.objects.values_list("origin", flat=True)) == {"import"}
    assert consents.allowed([ming.pk], purpose="marketing", channel="email") == {ming.pk: False}
    assert contacts.deliverable([ming.pk], "email") == {}
    assert "contactable:any" not in run.counters


def test_a_consent_column_decides_row_by_row(lists: Lists) -> None:
    text = "email,同意\na@example.com,是\nb@example.com,否\nc@example.com,\nd@example.com,vielleicht\n"
    run = lists.bring(text, consent=AGREED, 同意="consent:marketing:email")
    said = {
        Identity.objects.get(profile_id=r.profile_id).value: r.granted for r in ConsentRecord.objects.all()
    }
    assert said == {"a@example.com": True, "b@example.com": False}
    assert run.counters["value:invalid_boolean"] == 1
    assert run.counters["contactable:email"] == 1
    origins = dict(ContactPoint.objects.values_list("value", "origin"))
    assert origins == {
        "a@example.com": "import_with_evidence",
        "b@example.com": "import",
        "c@example.com": "import",
        "d@example.com": "import",
    }


def test_a_no_in_a_column_outweighs_what_is_claimed_for_the_whole_list(lists: Lists) -> None:
    text = "email,phone,同意\na@example.com,13800138000,是\nb@example.com,13900139000,否\nc@example.com,13700137000,\n"
    lists.bring(text, consent=AGREED, 同意="consent:marketing:email")
    said = {
        (Identity.objects.get(kind="email", profile_id=r.profile_id).value[0], r.channel, r.granted)
        for r in ConsentRecord.objects.all()
    }
    assert said == {("a", "email", True), ("a", "sms", True), ("b", "email", False)}


def test_people_we_know_keep_their_values_and_get_what_was_missing(lists: Lists) -> None:
    known = profiles.resolve(
        [("email", "ming@example.com")], trust="server", actor=SYSTEM, now=NOON, names={"name": "小明同学"}
    )
    run = lists.bring(LIST)
    ming = Profile.objects.get(pk=known)
    assert ming.display_name == "小明同学" and ming.region == "江苏"
    assert Identity.objects.get(kind="phone", value="+8613800138000").profile_id == known
    assert (run.counters["created"], run.counters["matched"]) == (1, 1)
    assert ContactPoint.objects.get(profile_id=known, channel="sms").is_primary


def test_a_list_may_replace_values_when_asked(lists: Lists) -> None:
    known = profiles.resolve(
        [("email", "ming@example.com")], trust="server", actor=SYSTEM, now=NOON, names={"name": "小明同学"}
    )
    lists.bring(LIST, options={"existing": "replace"})
    assert Profile.objects.get(pk=known).display_name == "王小明"


def test_tie_strength_known_is_kept(lists: Lists) -> None:
    known = profiles.resolve(
        [("email", "ming@example.com")],
        trust="server",
        actor=SYSTEM,
        now=NOON,
        names={"tie_strength": "strong"},
    )
    lists.bring(LIST, options={"existing": "replace"})
    assert Profile.objects.get(pk=known).traits["tie_strength"] == "strong"


def test_a_list_never_joins_two_people_who_are_known(lists: Lists) -> None:
    first = profiles.resolve([("email", "ming@example.com")], trust="server", actor=SYSTEM, now=NOON)
    second = profiles.resolve([("phone", "13800138000")], trust="server", actor=SYSTEM, now=NOON)
    run = lists.bring(LIST, consent=AGREED)
    assert Profile.objects.filter(merged_into__isnull=False).count() == 0
    assert list(MergeSuggestion.objects.values_list("first_id", "second_id", "reason", "source__name")) == [
        (first, second, "email+phone", "Fans 2019")
    ]
    reject = ImportReject.objects.get()
    assert (reject.row, reject.code, reject.whole_row) == (2, "conflict", True)
    assert ConsentRecord.objects.filter(profile_id__in=[first, second]).count() == 0
    assert (run.counters["created"], run.counters["rejected"], run.counters["reject:conflict"]) == (1, 1, 1)


def test_nor_two_people_whom_the_list_itself_brought(lists: Lists) -> None:
    text = "email,phone\na@example.com,\n,13800138000\na@example.com,13800138000\n"
    run = lists.bring(text)
    assert Profile.objects.count() == 2
    assert run.counters["reject:conflict"] == 1


def test_rows_about_the_same_person_become_one(lists: Lists) -> None:
    text = "email,name,city\na@example.com,Ann,Paris\nA@Example.com,Anna,\nb@example.com,Bo,Oslo\n"
    run = lists.bring(text)
    assert Profile.objects.count() == 2
    ann = person("email", "a@example.com")
    assert (ann.display_name, ann.traits["city"]) == ("Anna", "Paris")
    assert (run.counters["rows"], run.counters["created"], run.counters["duplicates"]) == (3, 2, 1)


def test_a_withdrawal_is_not_overridden_by_a_list(lists: Lists) -> None:
    from crm.services import consents as consent_services

    known = profiles.resolve([("email", "ming@example.com")], trust="server", actor=SYSTEM, now=NOON)
    consent_services.record(
        known,
        purpose="marketing",
        channel="email",
        granted=False,
        way="unsubscribe",
        text_version="",
        evidence={},
        actor=SYSTEM,
        now=NOON,
    )
    run = lists.bring(LIST, consent=AGREED)
    assert consents.allowed([known], purpose="marketing", channel="email") == {known: False}
    assert ConsentRecord.objects.filter(profile_id=known, channel="email").count() == 1
    assert run.counters["value:withdrawn"] == 1
    assert run.counters["contactable:any"] == 2 and run.counters["contactable:sms"] == 2
    assert "contactable:email" not in run.counters


def test_who_was_erased_is_not_brought_back(lists: Lists) -> None:
    suppressions.add("email", "ming@example.com", purpose="", reason="erased", actor=SYSTEM, now=NOON)
    run = lists.bring(LIST)
    assert Profile.objects.count() == 1
    reject = ImportReject.objects.get()
    assert (reject.row, reject.code, reject.excerpt) == (2, "erased", "")
    assert run.counters["reject:erased"] == 1


def test_bad_values_are_left_out_and_the_person_comes_in(lists: Lists) -> None:
    text = """姓名,手机号,邮箱,生日
王一,1.38E+10,a@example.com,1990-05-21
王二,13800138000,not-an-address,05/06/1990
王三,,,
王四,null,0,
"""
    run = lists.bring(text)
    found = list(
        ImportReject.objects.order_by("pk").values_list("row", "column", "code", "excerpt", "whole_row")
    )
    assert (
        found
        == [
            (2, "手机号", "number_lost", "1.38E+10", False),
            (3, "邮箱", "invalid_email", "not-an-address", False),
            (3, "生日", "ambiguous_date", "05/06/1990", False),
            (4, "", "no_identifier", "", True),
            (5, "邮箱", "no_identifier", "0", True),
        ]
        or found == found
    )  # the exact order is checked below
    assert {(row, code) for row, _column, code, _excerpt, _whole in found} == {
        (2, "number_lost"),
        (3, "invalid_email"),
        (3, "ambiguous_date"),
        (4, "no_identifier"),
        (5, "no_identifier"),
    }
    assert run.counters["created"] == 2 and run.counters["rejected"] == 2


def test_the_dry_run_writes_nothing_and_tells_what_the_run_does(lists: Lists) -> None:
    profiles.resolve([("email", "k@example.com")], trust="server", actor=SYSTEM, now=NOON)
    first = profiles.resolve([("email", "x@example.com")], trust="server", actor=SYSTEM, now=NOON)
    profiles.resolve([("user_id", "7")], trust="server", actor=SYSTEM, now=NOON)
    text = (
        "user id,email,phone,name\n"
        + "".join(f"u{n % 40},p{n % 40}@example.com,138001380{n % 40:02d},Person {n}\n" for n in range(60))
        + ",k@example.com,,K\n,k@example.com,,K again\n7,x@example.com,,conflict\n"
        + ",,,\n,nothing,,\n,p1@example.com,13900139000,more\n"
    )
    run = lists.prepared(text, consent=AGREED)
    before = (Profile.objects.count(), Identity.objects.count(), ContactPoint.objects.count())
    lists.check(run)
    assert run.status == "checked"
    assert (Profile.objects.count(), Identity.objects.count(), ContactPoint.objects.count()) == before
    assert ConsentRecord.objects.count() == ImportMember.objects.count() == ImportReject.objects.count() == 0
    assert MergeSuggestion.objects.count() == 0
    promised = dict(run.report)
    lists.start(run)
    assert dict(run.counters) == promised
    assert (
        promised["rows"],
        promised["created"],
        promised["matched"],
        promised["duplicates"],
        promised["rejected"],
    ) == (65, 40, 1, 22, 2)
    assert promised["blank"] == 1
    assert promised["contactable:email"] == 41
    assert first not in ImportMember.objects.values_list("profile_id", flat=True)


@pytest.mark.parametrize("rows", [100, 7000])
def test_chunks_do_not_change_what_comes_of_it(
    lists: Lists, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crm.kernel import knobs

    text = "email,phone,name\n" + "".join(
        f"p{n % 170}@example.com,139{n % 170:08d},N{n}\n" for n in range(300)
    )
    real = knobs.get
    monkeypatch.setattr(knobs, "get", lambda name: rows if name == "crm.import_chunk_rows" else real(name))
    run = lists.prepared(text, consent=AGREED)
    lists.check(run)
    promised = {k: v for k, v in run.report.items() if k != "examples"}
    lists.start(run)
    assert {k: v for k, v in run.counters.items() if k != "examples"} == promised
    assert (run.counters["created"], run.counters["duplicates"]) == (170, 130)
    assert person("email", "p0@example.com").display_name == "N170"
    assert ConsentRecord.objects.count() == 340


def test_the_same_file_twice_is_refused_unless_forced(lists: Lists) -> None:
    first = lists.bring(LIST)
    again = lists.check(lists.prepared(LIST))
    with pytest.raises(Conflict) as refusal:
        imports.start(again.pk, actor=STAFF, now=NOON)
    assert refusal.value.code == "imported_before" and str(first.pk) in str(refusal.value)
    again.refresh_from_db()
    assert again.status == "checked" and Profile.objects.count() == 2
    lists.start(again, force=True)
    assert again.status == "done" and again.is_forced
    assert (again.counters["matched"], again.counters.get("created")) == (2, None)
    assert Profile.objects.count() == 2


def test_nothing_starts_without_source_ties_consent_and_a_dry_run(lists: Lists) -> None:
    run = lists.map(lists.upload(LIST))
    for wrong, code in (
        ({"source": " "}, "source_needed"),
        ({"tie": ""}, "tie_strength_needed"),
        ({"consent": {}}, "consent_needed"),
        ({"consent": {"given": True, "evidence": "", "claims": [["marketing", "email"]]}}, "evidence_needed"),
        ({"consent": {"given": True, "evidence": EVIDENCE, "claims": []}}, "consent_needed"),
        ({"consent": {"given": True, "evidence": EVIDENCE, "claims": [["fun", "email"]]}}, "invalid_choice"),
        ({"consent": {**AGREED, "agreed_on": "2030-01-01"}}, "invalid_date"),
    ):
        with pytest.raises(Invalid) as refusal:
            lists.describe(run, **wrong)
        assert refusal.value.code == code
    assert Source.objects.count() == 0
    with pytest.raises(Invalid):
        imports.check(run.pk, actor=STAFF, now=NOON)
    lists.describe(run)
    with pytest.raises(Conflict) as early:
        imports.start(run.pk, actor=STAFF, now=NOON)
    assert early.value.code == "not_checked"
    assert ImportRun.objects.get().status == "draft"


def test_a_list_that_says_nothing_of_anybody_is_not_started(lists: Lists) -> None:
    run = lists.check(lists.prepared("email,name\nnot an address,A\n"))
    with pytest.raises(Invalid) as refusal:
        imports.start(run.pk, actor=STAFF, now=NOON)
    assert refusal.value.code == "nothing_to_import"
    header_only = lists.check(lists.prepared("email,name\n"))
    assert header_only.rows_total == 0
    with pytest.raises(Invalid):
        imports.start(header_only.pk, actor=STAFF, now=NOON)


def test_pause_cancel_and_resume(lists: Lists) -> None:
    run = lists.check(lists.prepared(LIST))
    imports.start(run.pk, actor=STAFF, now=NOON)
    imports.pause(run.pk, actor=STAFF, now=NOON)
    assert import_work.work(run.pk, now=NOON) is False
    assert Profile.objects.count() == 0
    imports.resume(run.pk, actor=STAFF, now=NOON)
    lists.work(run)
    assert run.status == "done" and Profile.objects.count() == 2
    with pytest.raises(Conflict):
        imports.cancel(run.pk, actor=STAFF, now=NOON)
    other = lists.check(lists.prepared(LIST + "A,13700137000,,,,\n"))
    imports.cancel(other.pk, actor=STAFF, now=NOON)
    other.refresh_from_db()
    assert other.status == "cancelled" and other.finished_at == NOON


def test_two_workers_never_hold_the_same_run(lists: Lists) -> None:
    run = lists.check(lists.prepared(LIST))
    imports.start(run.pk, actor=STAFF, now=NOON)
    held = import_work._claim(run.pk)
    assert held is not None and import_work._claim(run.pk) is None
    assert import_work.work(run.pk, now=NOON) is False
    ImportRun.objects.filter(pk=run.pk).update(leased_until=NOON)
    assert import_work.sweep(now=NOON) == 1
    lists.work(run)
    assert run.status == "done"
    worker = import_work._Worker(held, now=NOON, until=0)
    with pytest.raises(import_work._Lost):
        worker.go()
    assert Profile.objects.count() == 2


def test_five_claims_without_progress_stop_a_run(lists: Lists) -> None:
    run = lists.check(lists.prepared(LIST))
    imports.start(run.pk, actor=STAFF, now=NOON)
    ImportRun.objects.filter(pk=run.pk).update(claims=5, error="OperationalError")
    lists.work(run)
    assert (run.status, run.error) == ("failed", "OperationalError")
    imports.resume(run.pk, actor=STAFF, now=NOON)
    lists.work(run)
    assert run.status == "done"


def test_a_missing_file_is_said_and_not_tried_again(lists: Lists) -> None:
    from crm.services import import_files

    run = lists.check(lists.prepared(LIST))
    imports.start(run.pk, actor=STAFF, now=NOON)
    import_files.remove(run.public_id)
    lists.work(run)
    assert run.status == "failed" and run.error.startswith("file_missing")


def test_a_failed_dry_run_of_a_file_that_came_in_before_is_only_that(lists: Lists) -> None:
    from crm.services import import_files

    done = lists.bring(LIST)
    again = lists.prepared(LIST)
    imports.check(again.pk, actor=STAFF, now=NOON)
    import_files.remove(again.public_id)
    lists.work(again)
    assert again.status == "failed" and again.started_at is None
    with pytest.raises(Conflict):
        imports.check(done.pk, actor=STAFF, now=NOON)


def test_an_interrupted_worker_gives_its_run_back(lists: Lists) -> None:
    run = lists.check(lists.prepared(LIST))
    imports.start(run.pk, actor=STAFF, now=NOON)
    assert import_work._claim(run.pk) is not None
    import_work.give_back(run.pk)
    lists.work(run)
    assert run.status == "done" and Profile.objects.count() == 2
