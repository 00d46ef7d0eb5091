"""Two schedulers run a slot once; a lost broker loses nothing and stops nobody."""

from datetime import UTC, datetime, timedelta

import pytest

from crm.kernel import jobs

NOW = datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)


@pytest.mark.django_db
def test_a_slot_is_claimed_once():
    every = timedelta(seconds=30)
    assert jobs.claim_slot("tests.job", now=NOW, every=every)
    assert not jobs.claim_slot("tests.job", now=NOW + timedelta(seconds=20), every=every)
    assert jobs.claim_slot("tests.job", now=NOW + timedelta(seconds=30), every=every)
    assert jobs.claim_slot("tests.other", now=NOW, every=every)


@pytest.mark.django_db(transaction=True)
def test_wake_ups_are_coalesced_until_the_task_starts(monkeypatch):
    from config.celery import app

    sent = []
    monkeypatch.setattr(app, "send_task", lambda name, kwargs, retry: sent.append((name, kwargs)))
    monkeypatch.setattr(jobs, "_broker_rests_until", 0.0)
    jobs.awake("tests.task", id=1)
    for _call in range(3):
        jobs.wake("tests.task", id=1)
    jobs.wake("tests.task", id=2)
    assert sent == [("tests.task", {"id": 1}), ("tests.task", {"id": 2})]
    jobs.awake("tests.task", id=1)
    jobs.awake("tests.task", id=2)
    jobs.wake("tests.task", id=1)
    assert len(sent) == 3
    jobs.awake("tests.task", id=1)


@pytest.mark.django_db(transaction=True)
def test_without_a_broker_the_caller_goes_on(monkeypatch, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(jobs, "_broker", jobs._broker.__wrapped__)
    monkeypatch.setattr(jobs, "_broker_rests_until", 0.0)
    jobs.wake("tests.task", id=1)
    assert jobs._broker_rests_until > 0
    jobs.awake("tests.task", id=1)


@pytest.fixture
def sent(monkeypatch):
    found = []
    monkeypatch.setattr(jobs, "_send", lambda name, ids: found.append((name, ids["id"])))
    return found


@pytest.mark.django_db
def test_wake_ups_wait_for_the_end_of_a_flood_and_not_longer_than_patience(sent, monkeypatch):
    gathered = jobs._Gathered()
    monkeypatch.setattr(gathered, "_watch", lambda: None)
    gathered.add("tests.task", {"id": 1})
    gathered.add("tests.task", {"id": 1})
    assert sent == [("tests.task", 1)]
    first = gathered.sent_at("tests.task", {"id": 1})
    # The flood is on: what waits waits on, what is new waits too, until its patience is over.
    assert gathered.release(now=first + 0.25, is_flooded=True)
    gathered.add("tests.task", {"id": 2})
    assert gathered.release(now=first + 4.9, is_flooded=True)
    assert sent == [("tests.task", 1)]
    assert gathered.release(now=first + 5.2, is_flooded=True)
    assert sorted(sent) == [("tests.task", 1), ("tests.task", 1), ("tests.task", 2)]
    # It is over: everything that waits goes out, and then nobody watches any more.
    gathered.add("tests.task", {"id": 3})
    assert gathered.release(now=first + 5.5, is_flooded=False)
    assert sent[3:] == [("tests.task", 3)]
    assert not gathered.release(now=first + 5.8, is_flooded=False)


@pytest.mark.django_db
def test_all_processes_know_of_a_flood():
    jobs._broker().delete(jobs.FLOOD_MARK)
    assert not jobs.is_flooded()
    assert not jobs.note_work(at_work=0.9)
    assert not jobs.is_flooded()
    assert jobs.note_work(at_work=1.9)
    assert jobs.is_flooded()
    # Another process with little to do holds its wake-ups back as well.
    assert jobs.note_work(at_work=0.0)
    assert 0 < jobs._broker().pttl(jobs.FLOOD_MARK) <= jobs.FLOOD_MARK_MS
    jobs._broker().delete(jobs.FLOOD_MARK)


def test_without_a_broker_there_is_no_flood(settings, monkeypatch):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(jobs, "_broker", jobs._broker.__wrapped__)
    assert not jobs.is_flooded()
    assert jobs.note_work(at_work=5.0)
