"""A router's limits as a process of their own: the router's own modules, without HTTP, and calls at a pace.

usage: python -m tests.integration.router.limited_router URL PART PARTS RATE BURST PACE SECONDS LOG
Every call is one number in LOG, written at once: the machine's monotonic clock as eight bytes (a double),
negative for one that was refused.
"""

import asyncio
import os
import struct
import sys
import time
from pathlib import Path

import uvloop

from plat.feed import Route, RouteVersion
from plat.tasks import cancel, spawn
from router.limits.buckets import WAIT
from router.limits.leases import Leasing
from router.limits.limiter import Limiter
from router.limits.redis_store import RedisStore
from router.metrics import Metrics

STEP_S = 0.001


class Call:
    """Waits for a token as a call does."""

    def __init__(self, limiter: Limiter, route: Route, log: int) -> None:
        self._limiter, self._route, self._log = limiter, route, log
        self._waits = 0

    def resume(self, now: float) -> None:
        bucket = self._limiter.of_function(self._route, now)
        told = bucket.take(now)
        if told == 0:
            os.write(self._log, struct.pack("d", time.monotonic()))
        elif told == WAIT and self._waits < 4:
            self._waits += 1
            bucket.waiters.append(self)
        else:
            os.write(self._log, struct.pack("d", -time.monotonic()))


async def main(url: str, part: int, parts: int, rate: float, burst: int, pace: float, seconds: float) -> None:
    log = os.open(sys.argv[8], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    route = Route("f", 1, False, "public", 60.0, rate, burst, (RouteVersion("v", 1, 1, 30.0),))
    limiter = Limiter(part, parts)
    leasing = Leasing(f"r{part}-{os.getpid()}", limiter, RedisStore(url), Metrics(), clock=time.monotonic)
    run = spawn(leasing.run(), "leases")
    began = now = ticked = time.monotonic()
    calls = 0
    while now < began + seconds:
        while calls < (now - began) * pace:
            Call(limiter, route, log).resume(time.monotonic())
            calls += 1
        if now - ticked >= 0.25:
            limiter.tick(now, lambda _: True)
            ticked = now
        await asyncio.sleep(STEP_S)
        now = time.monotonic()
    await cancel(run)
    await leasing.give_back()


def read_log(path: Path) -> list[float]:
    """When calls came; negative: one that was refused. What a killed process wrote is there."""
    data = path.read_bytes()
    return list(struct.unpack(f"{len(data) // 8}d", data[: len(data) // 8 * 8]))


if __name__ == "__main__":
    _, url, part, parts, rate, burst, pace, seconds, _ = sys.argv
    uvloop.run(main(url, int(part), int(parts), float(rate), int(burst), float(pace), float(seconds)))
