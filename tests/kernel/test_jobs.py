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
