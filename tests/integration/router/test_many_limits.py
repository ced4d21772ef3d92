"""Thousands of limits in a real Redis: one round trip for what is due, and never so much that it is late."""

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection

from plat.leasing import Answer, Ask
from plat.tasks import cancel, spawn
from router.limits.buckets import HOLD_S, WAIT, LeasedBucket
from router.limits.leases import BUCKETS_A_REQUEST, Leasing
from router.limits.limiter import Limiter
from router.limits.redis_store import BUCKETS_A_CALL, RedisStore
from router.metrics import Metrics
from tests.integration.redis_forms import StartRedis
from tests.unit.router.limits.lease_rig import Nobody, a_route

pytestmark = pytest.mark.redis

WAIT_S = 60.0


def an_ask(number: int) -> Ask:
    return Ask(f"k{number}", 10.0, 8, 0, 0, 1, 0.0, 0.0, False)


async def test_all_that_is_due_goes_in_one_round_trip(
    start_redis: StartRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RedisStore(start_redis("one").url)
    await store.lease("a", 1, [])
    writes = []
    send = AbstractConnection.send_packed_command

    async def counted(connection: Any, *given: Any, **more: Any) -> None:
        writes.append(1)
        await send(connection, *given, **more)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", counted)
    answers = await store.lease("a", 2, [an_ask(number) for number in range(5 * BUCKETS_A_CALL + 1)])
    await store.close()
    assert len(answers) == 5 * BUCKETS_A_CALL + 1
    assert len(writes) == 1


async def test_a_script_that_redis_has_forgotten(start_redis: StartRedis) -> None:
    server = start_redis("one")
    store = RedisStore(server.url)
    for number in (1, 2):
        answers = await store.lease("a", number, [an_ask(each) for each in range(3 * BUCKETS_A_CALL)])
        assert [answer.lease for answer in answers] == [0] * (3 * BUCKETS_A_CALL)
        server.run("SCRIPT", "FLUSH")
    await store.close()


class Watched(RedisStore):
    """Remembers how much it was asked at a time."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sizes: list[int] = []

    async def lease(self, router: str, number: int, asks: list[Ask]) -> list[Answer]:
        self.sizes.append(len(asks))
        return await super().lease(router, number, asks)


async def until_answered(buckets: list[LeasedBucket], since: float) -> None:
    """Each of them, by a request that was sent after that time."""
    deadline = time.monotonic() + WAIT_S
    while not all(bucket.until >= since + HOLD_S for bucket in buckets):
        assert time.monotonic() < deadline, "not every bucket was heard"
        await asyncio.sleep(0.05)


async def test_a_redis_that_lives_does_not_look_away(start_redis: StartRedis) -> None:
    """However many are asked for, renewed and given back at once."""
    store, limiter, metrics = Watched(start_redis("one").url), Limiter(), Metrics()
    leasing = Leasing("a", limiter, store, metrics, clock=time.monotonic)
    run = spawn(leasing.run(), "leases")
    route = a_route(token_rate=100.0, token_burst=100)
    now = time.monotonic()
    buckets = [limiter.of_caller(route, f"caller {number}", now) for number in range(20_000)]
    for _ in range(2):
        since = time.monotonic()
        for bucket in buckets:
            if bucket.take(since) == WAIT:
                bucket.waiters.append(Nobody())
            limiter.wants(bucket, since)
        await until_answered(buckets, since)
    await cancel(run)
    for bucket in buckets:
        bucket.tokens = 1
    await leasing.give_back()
    assert metrics.limiter_up
    assert "plat_limiter_errors_total 0" in metrics.exposition({}, {})
    assert sum(store.sizes) >= 3 * len(buckets)
    assert max(store.sizes) <= BUCKETS_A_REQUEST


async def test_who_waits_is_asked_for_first(start_redis: StartRedis) -> None:
    store, limiter = Watched(start_redis("one").url), Limiter()
    route = a_route(token_rate=100.0, token_burst=100)
    now = time.monotonic()
    buckets = [limiter.of_caller(route, f"caller {number}", now) for number in range(3 * BUCKETS_A_REQUEST)]
    for bucket in buckets:
        limiter.wants(bucket, now)
    buckets[-1].waiters.append(Nobody())
    leasing = Leasing("a", limiter, store, Metrics(), clock=time.monotonic)
    [first, *others] = leasing._due()
    assert first is buckets[-1]
    assert others == buckets[: BUCKETS_A_REQUEST - 1]
    await store.close()
