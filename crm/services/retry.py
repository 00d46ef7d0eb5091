"""Run a transaction again when the database chose it as the victim of a deadlock or a race.

Locks are taken in id order, so deadlocks are rare; they remain possible where a person loses their place as root
while somebody waits for them. A caller outside any transaction never sees one; inside a transaction only the
outermost caller can start again, so there the error goes up.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection
from psycopg import errors

ATTEMPTS = 16
LONGEST_PAUSE = 0.5
VICTIMS = (errors.DeadlockDetected, errors.SerializationFailure)
P = ParamSpec("P")
R = TypeVar("R")


class Raced(Exception):
    """Another transaction was faster; what was read no longer holds. Also mended by starting again."""


def on_conflict(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: start the function again, up to ATTEMPTS times, waiting a little longer each time."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        nested = connection.in_atomic_block
        for attempt in range(1, ATTEMPTS):
            try:
                return function(*args, **kwargs)
            except Raced:
                pass
            except OperationalError as error:
                if nested or not isinstance(error.__cause__, VICTIMS):
                    raise
            time.sleep(random.uniform(0, min(0.005 * 2**attempt, LONGEST_PAUSE)))
        return function(*args, **kwargs)

    return run
