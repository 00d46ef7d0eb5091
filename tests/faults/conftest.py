"""The house of the fault tests: started once, and again whenever a test has brought it down.

Of several processes only one starts a house: tests.scheduling keeps its tests together.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests import servers
from tests.faults.house import House


@pytest.fixture(scope="session")
def _house() -> Iterator[House]:
    folder = servers.new_folder("renxin-faults-")
    house = House(folder)
    try:
        yield house
    finally:
        house.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def house(_house: House) -> House:
    """A system that is ready, with short leases, and a worker that takes tasks."""
    _house.ready()
    return _house
