"""Writers, merges both ways, undos and erasures at once: nothing lost, no deadlock seen, one live profile each.

The same as `python -m bench merges`, with less of everything and threads for processes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from bench import merges as commotion
from crm.kernel import clock
from crm.models import Identity, Profile
from crm.services import partitions, sources
from tests.crm.conftest import SYSTEM


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_nothing_is_lost_in_the_commotion() -> None:
    load = commotion.Load(writers=4, events=2_000, mergers=2, merges=40, people=150, erasures=4)
    source = sources.create("Commotion", trust="server", actor=SYSTEM, now=clock.now())
    partitions.ensure({(2026, 4), (2026, 5), (2026, 6)})

    def run(job: Any, number: int) -> Any:
        try:
            return job(number, load, source.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        counts = [
            future.result()
            for future in [pool.submit(run, job, number) for job, number in commotion.jobs(load)]
        ]
    found = commotion.outcome(counts)
    assert (found.accepted, found.lost, found.errors, found.astray) == (2_000, 0, {}, [])
    assert (found.merges, found.erasures) == (40, 4)
    live = set(Profile.objects.filter(merged_into=None, erased_at=None).values_list("pk", flat=True))
    held = Identity.objects.values_list("profile_id", "profile__merged_into_id")
    assert {root or profile_id for profile_id, root in held} <= live
