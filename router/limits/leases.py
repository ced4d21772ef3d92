"""Fetches, renews and returns the tokens of `router.limits.limiter`: what is due goes in one request.

Decides nothing about a call. One request is under way at a time; while the store does not answer, it is
asked again and again, with pauses.
"""

import asyncio
import random
from collections.abc import Callable
from math import inf
from typing import Protocol

from plat.leasing import Answer, Ask
from plat.logs import get_logger
from router.limits.buckets import LeasedBucket
from router.limits.limiter import Limiter
from router.metrics import Metrics

log = get_logger(__name__)

TICK_S = 0.005
"""Between two requests; the first after a pause goes at once."""

TIMEOUT_S = 1.0
"""A store that takes longer is away. No call waits longer for it."""

BUCKETS_A_REQUEST = 500
"""All that are due, unless they are more; the rest is next. So many take Redis 0.1 s on two busy cores, a
tenth of `TIMEOUT_S`, and the router 30 ms in which it does nothing else. Larger requests save nothing."""

TIMER_S = 0.001
"""uvloop's timers are in whole milliseconds: one may be early by about so much, and a shorter one is none."""

RETRY_S = (0.05, 0.5)
"""First and longest wait between attempts to reach it; less than a lease lives, so that all routers are back
before new leases begin."""


class StoreError(Exception):
    """The store of limits cannot be used; the message says why."""


class Store(Protocol):
    """Where the buckets are: Redis, or the pool."""

    async def open(self) -> None:
        """Return once there may be calls: before, nobody can miss the store. Cancellable."""

    async def lease(self, router: str, number: int, asks: list[Ask]) -> list[Answer]:
        """An answer for each. `number` grows with every request. Cancellable; raises StoreError."""

    async def close(self) -> None: ...


class Leasing:
    """`run` until cancelled, then `give_back`."""

    def __init__(
        self, router: str, limiter: Limiter, store: Store, metrics: Metrics, *, clock: Callable[[], float]
    ) -> None:
        self._router = router
        self._limiter = limiter
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._number = 0
        self._rtt_s = 0.0
        self._was_leased = False
        self._sent_at = -inf
        self._planned = inf
        """When the next request goes; somebody who wants one earlier sets `_woken`."""
        self._woken = asyncio.Event()
        limiter.wake = self._wake
        limiter.resume_first_at = self._resume_first_at

    async def run(self) -> None:
        """For ever. The first request asks for nothing: it opens the connection."""
        wait_s = RETRY_S[0]
        await self._store.open()
        while True:
            if await self._exchange(self._due()):
                wait_s = RETRY_S[0]
                await self._until_wanted()
            else:
                await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311 - jitter, no secret
                wait_s = min(wait_s * 2, RETRY_S[1])

    async def give_back(self) -> None:
        """All tokens, for other routers. What does not arrive is free when its lease ends."""
        buckets = [bucket for bucket in self._limiter.buckets() if bucket.tokens]
        for start in range(0, len(buckets), BUCKETS_A_REQUEST):
            if self._limiter.away_since < 0:
                await self._exchange(buckets[start : start + BUCKETS_A_REQUEST], give_all_back=True)
        await self._store.close()

    def was_leased(self) -> bool:
        """Whether there was ever anything."""
        return self._was_leased

    # --- steps

    async def _exchange(self, buckets: list[LeasedBucket], *, give_all_back: bool = False) -> bool:
        """One request. False: the store did not answer."""
        self._sent_at = sent_at = self._clock()
        asks = [bucket.ask(sent_at, self._rtt_s, give_all_back=give_all_back) for bucket in buckets]
        self._number += 1
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answers = await self._store.lease(self._router, self._number, asks)
        except (StoreError, TimeoutError) as error:
            self._failed(buckets, str(error) or f"no answer within {TIMEOUT_S:g} s")
            return False
        now = self._clock()
        self._was_leased = self._was_leased or any(answer.lease > 0 for answer in answers)
        self._rtt_s += (now - sent_at - self._rtt_s) / 4
        self._answered(now)
        for bucket, answer in zip(buckets, answers, strict=True):
            bucket.settle(answer, sent_at, now)
        for bucket in buckets:
            bucket.resume_waiters(now)
        return True

    def _answered(self, now: float) -> None:
        if self._limiter.away_since >= 0:
            log.info("the store of limits is back", away_s=round(now - self._limiter.away_since, 3))
        self._metrics.limiter_up = True
        self._limiter.came_back(now)

    def _failed(self, buckets: list[LeasedBucket], detail: str) -> None:
        if self._limiter.away_since < 0:
            log.warning("the store of limits is away; limits hold per router until it is back", detail=detail)
        self._metrics.limiter_failed()
        for bucket in buckets:
            bucket.unheard()
        self._limiter.went_away(self._clock())

    def _due(self) -> list[LeasedBucket]:
        """In the order they asked; if there are too many, those that calls wait for come first."""
        now, wanting = self._clock(), self._limiter.wanting
        due = [bucket for bucket in wanting.values() if bucket.asked_at <= now]
        if len(due) > BUCKETS_A_REQUEST:
            due = sorted(due, key=lambda bucket: not bucket.waiters)[:BUCKETS_A_REQUEST]
        for bucket in due:
            del wanting[bucket.key]
        return due

    async def _until_wanted(self) -> None:
        while True:
            wanted = min((bucket.asked_at for bucket in self._limiter.wanting.values()), default=inf)
            self._planned = max(wanted, self._sent_at + TICK_S)
            wait_s = self._planned - self._clock()
            if wait_s <= 0:
                self._planned = -inf
                return
            self._woken.clear()
            try:
                async with asyncio.timeout(None if wait_s == inf else wait_s):
                    await self._woken.wait()
            except TimeoutError:
                continue

    def _wake(self, at: float) -> None:
        if at < self._planned and self._sent_at + TICK_S < self._planned:
            self._woken.set()

    def _resume_first_at(self, bucket: LeasedBucket, at: float) -> None:
        wait_s = max(at - self._clock(), TIMER_S)
        asyncio.get_running_loop().call_later(wait_s, self._resume_first, bucket, at)

    def _resume_first(self, bucket: LeasedBucket, at: float) -> None:
        now = self._clock()
        if now < at:
            self._resume_first_at(bucket, at)
        else:
            bucket.resume_first(now)
