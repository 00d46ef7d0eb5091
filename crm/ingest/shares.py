"""A source's share of the door: events per second with a burst, and requests at work at once.

The rate is one bucket per source for all processes, kept in Redis; each process takes tokens from it in portions, so
a busy source costs a call in many requests and not one in each. A request is let in while there is anything left and
pays for all its events afterwards, so a batch is taken or refused as a whole and the largest one always finds its
turn. While Redis is away each process keeps a bucket of its own; nothing is ever refused because Redis is down.

Requests at work are counted per process. A source that is alone may use every thread; while others are sending too
it may hold `crm.source_share` of them, so a flood of one leaves threads for the others.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from crm.kernel import knobs
from crm.models import Source

logger = logging.getLogger(__name__)

CACHE_SECONDS = 5.0
REST_SECONDS = 3.0
# A portion is what may be sent in this time; what is left of it when it is this old is given up.
PORTION_SECONDS = 0.1
PORTION_LIFE = 1.0
# How long another source counts as sending.
COMPANY_SECONDS = 2.0
LONGEST_WAIT = 300

# KEYS[1]; ARGV: rate per second, burst, tokens owed, tokens of a portion, events of this request. What is owed is paid
# in any case; then, if a whole token is left, the request's events or a portion are granted, whichever is more.
# Returns {granted, milliseconds to wait}.
_TAKE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = math.min(burst, (tonumber(kept[1]) or burst) + math.max(0, now - (tonumber(kept[2]) or now)) * rate)
tokens = tokens - tonumber(ARGV[3])
local granted, wait = 0, 0
if tokens >= 1 then
  granted = math.max(tonumber(ARGV[5]), math.min(tonumber(ARGV[4]), math.floor(tokens)))
  tokens = tokens - granted
else
  wait = math.ceil((1 - tokens) / rate * 1000)
end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - tokens) / rate * 1000) + 60000)
return {granted, wait}
"""


class OverShare(Exception):
    """This source has to wait; nothing of the request was stored."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"wait {retry_after} s")
        self.retry_after = retry_after


@dataclass(slots=True)
class _Account:
    """What this process knows of one source."""

    tokens: float = 0.0
    taken_at: float = 0.0
    own: float | None = None
    own_at: float = 0.0
    at_work: int = 0
    seen_at: float = float("-inf")


@dataclass(slots=True)
class _State:
    lock: threading.Lock = field(default_factory=threading.Lock)
    accounts: dict[int, _Account] = field(default_factory=dict)
    at_work: int = 0
    most_at_work: int = 0
    limits: dict[int, tuple[int | None, int | None]] = field(default_factory=dict)
    limits_at: float = float("-inf")
    redis_rests_until: float = 0.0


_state = _State()


def forget() -> None:
    """Start anew, as a fresh process does."""
    global _state
    _state = _State()


def enter(source_id: int) -> None:
    """Take a place among the requests at work. Raises OverShare; whoever entered must leave."""
    now = time.monotonic()
    share = knobs.get("crm.source_share")
    state = _state
    with state.lock:
        account = state.accounts.setdefault(source_id, _Account())
        if share < 100 and account.at_work:
            most = max(1, max(state.most_at_work, state.at_work + 1) * share // 100)
            if account.at_work >= most and _in_company(state, source_id, now):
                raise OverShare(1)
        account.at_work += 1
        account.seen_at = now
        state.at_work += 1
        state.most_at_work = max(state.most_at_work, state.at_work)


def leave(source_id: int) -> None:
    """Give the place back."""
    state = _state
    with state.lock:
        account = state.accounts.get(source_id)
        if account is not None and account.at_work:
            account.at_work -= 1
            account.seen_at = time.monotonic()
            state.at_work -= 1


def _in_company(state: _State, source_id: int, now: float) -> bool:
    """Whether another source is at work or was within the last moments."""
    return any(
        other.at_work or now - other.seen_at < COMPANY_SECONDS
        for ident, other in state.accounts.items()
        if ident != source_id
    )


def spend(source_id: int, events: int) -> None:
    """Let a request of so many events in and charge them. Raises OverShare with the seconds to wait."""
    rate, burst = limits_of(source_id)
    now = time.monotonic()
    state = _state
    with state.lock:
        account = state.accounts.setdefault(source_id, _Account())
        if account.tokens > 0 and now - account.taken_at > PORTION_LIFE:
            account.tokens = 0.0
        if account.tokens > 0:
            account.tokens -= events
            return
        # Taken out while the lock is held, so that two threads do not pay the same debt.
        owed, account.tokens = -account.tokens, 0.0
    wait_ms = 0
    granted = 0.0
    answer = _take(source_id, rate=rate, burst=burst, owed=owed, events=events)
    with state.lock:
        if answer is None:
            granted, wait_ms = _take_here(account, now, rate=rate, burst=burst, owed=owed, events=events)
        else:
            granted, wait_ms = answer
        if granted:
            account.tokens += granted - events
            account.taken_at = now
            return
    raise OverShare(min(LONGEST_WAIT, max(1, math.ceil(wait_ms / 1000))))


def limits_of(source_id: int) -> tuple[int, int]:
    """(events per second, burst) of a source: its own or those of the knobs; at most five seconds old."""
    state = _state
    if time.monotonic() - state.limits_at > CACHE_SECONDS:
        rows = Source.objects.exclude(rate_limit=None, burst_limit=None)
        state.limits = {
            pk: (rate, burst) for pk, rate, burst in rows.values_list("pk", "rate_limit", "burst_limit")
        }
        state.limits_at = time.monotonic()
    rate, burst = state.limits.get(source_id, (None, None))
    if rate is not None and burst is None:
        # Ten seconds' worth, as the knobs have it.
        return rate, min(rate * 10, knobs.get("crm.source_burst"))
    return rate or knobs.get("crm.source_rate"), burst or knobs.get("crm.source_burst")


@cache
def _redis() -> redis.Redis:
    # No retries and little patience: the door must not wait for a broker that is away.
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.25, retry=Retry(NoBackoff(), 0)
    )


@cache
def _script() -> Any:
    return _redis().register_script(_TAKE)


def _take(source_id: int, *, rate: int, burst: int, owed: float, events: int) -> tuple[float, int] | None:
    """A portion from the bucket that all processes share; None while Redis is away."""
    state = _state
    if time.monotonic() < state.redis_rests_until:
        return None
    try:
        granted, wait = _script()(
            keys=[f"renxin:share:{source_id}"],
            args=[rate, burst, owed, max(1, int(rate * PORTION_SECONDS)), events],
        )
    except redis.RedisError as error:
        state.redis_rests_until = time.monotonic() + REST_SECONDS
        logger.warning("shares of sources are counted per process: %s", type(error).__name__)
        return None
    return float(granted), int(wait)


def _take_here(
    account: _Account, now: float, *, rate: int, burst: int, owed: float, events: int
) -> tuple[float, int]:
    """The same from this process's own bucket."""
    level = burst if account.own is None else min(burst, account.own + (now - account.own_at) * rate)
    level -= owed
    account.own_at = now
    if level < 1:
        account.own = level
        return 0.0, math.ceil((1 - level) / rate * 1000)
    granted = max(float(events), min(rate * PORTION_SECONDS, level))
    account.own = level - granted
    return granted, 0
