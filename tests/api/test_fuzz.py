"""Thousands of odd requests over a real socket, made from the API's own description: never a 5xx.

A client with every scope may reach every operation, so what is tried here are the inputs. The number of
examples is bounded; `FUZZ_EXAMPLES` raises it for a longer hunt.
"""

from __future__ import annotations

import contextlib
import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from crm.kernel import actors, clock, roles
from crm.services import sources
from tests.api import expectations
from tests.api.seeds import seed

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "4"))


@pytest.fixture
def door(live_server, transactional_db):
    """The base address, and a key that has every scope of the table."""
    roles.sync()
    seeds = seed()
    scopes = {scope for methods in expectations.API.values() for scope, _roles in methods.values()}
    _key, text = sources.create_api_key(
        "fuzz", scopes=sorted(scopes - {"public"}), actor=actors.system("test"), now=clock.now()
    )
    return live_server.url, {"Authorization": f"Bearer {text}"}, seeds


@pytest.mark.long
@pytest.mark.timeout(900)  # a thousand requests and more
def test_no_operation_breaks_whatever_it_is_sent(door):
    import schemathesis  # two seconds for every process that collects the suite

    base, headers, seeds = door
    schema = schemathesis.openapi.from_url(f"{base}/api/schema/?format=json", headers=headers, timeout=120)
    broken: list[str] = []
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if not operation.path.startswith("/api/v1/"):
            continue
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            tried += _try(operation, mode, base, headers, seeds, broken)
    assert not broken, "\n".join(broken)
    assert tried >= 3 * sum(len(methods) for methods in expectations.API.values())


def _try(operation, mode, base, headers, seeds, broken):
    sent = 0
    existing = seeds.path_id(operation.path)

    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case):
        nonlocal sent
        sent += 1
        if sent % 2 and existing is not None:  # every other request meets a row that exists
            case.path_parameters = dict.fromkeys(case.path_parameters or {}, existing)
        answer = case.call(base_url=base, headers=headers, timeout=30)
        if answer.status_code >= 500:
            line = f"{case.method} {case.path}: {answer.status_code} for {case.as_curl_command()[:600]}"
            if not any(known.startswith(f"{case.method} {case.path}:") for known in broken):
                broken.append(line)

    with contextlib.suppress(Unsatisfiable):  # nothing can be wrong with an operation that takes nothing
        run()
    return sent
