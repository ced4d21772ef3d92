"""Limits over several router processes and a real Redis: never a call too many, whoever is killed."""

import asyncio
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from plat.leasing import LEASE_TTL_S, Ask
from router.limits.leases import StoreError
from router.limits.redis_store import RedisStore
from tests.integration.redis_forms import Watched, until
from tests.integration.redis_server import RedisServer
from tests.integration.router.conftest import RunInstance, RunRouter
from tests.integration.router.limited_router import read_log
from tests.integration.router.pool_server import PoolServer, route

ROUTERS = 4


@pytest.fixture
def server(data_dir: Path) -> Iterator[RedisServer]:
    server = RedisServer(data_dir)
    server.start()
    yield server
    server.kill()


class Fleet:
    """Four processes that ask for the same limit."""

    def __init__(self, url: str, folder: Path, *, rate: float, burst: int) -> None:
        self._url, self._folder = url, folder
        self.rate, self.burst = rate, burst
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *, pace: float, seconds: float) -> None:
        for part in range(ROUTERS):
            given = (self._url, part, ROUTERS, self.rate, self.burst, pace / ROUTERS, seconds)
            command = [sys.executable, "-m", "tests.integration.router.limited_router"]
            log = self._folder / f"{part}.log"
            self.processes.append(subprocess.Popen([*command, *map(str, given), str(log)]))

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def logs(self) -> tuple[list[float], list[float]]:
        """When calls were admitted, and when refused, in order."""
        calls = [at for path in self._folder.glob("*.log") for at in read_log(path)]
        return sorted(at for at in calls if at > 0), sorted(-at for at in calls if at < 0)


@pytest.fixture
def fleet(server: RedisServer, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(server.url, tmp_path, rate=200, burst=200)
    yield fleet
    fleet.end()


def most_over(times: list[float], rate: float, burst: int) -> float:
    """By how many calls the limit was passed in the worst of all windows; below 0: in none.

    With i the first call of a window and j the last: j - i + 1 - rate * (t_j - t_i) - burst, at its largest.
    """
    worst, least = float("-inf"), float("inf")
    for number, at in enumerate(times):
        least = min(least, number - rate * at)
        worst = max(worst, number - rate * at - least)
    return worst + 1 - burst


def test_the_measure_itself() -> None:
    assert most_over([0.0] * 10, 1, 10) == 0
    assert most_over([0.0] * 11, 1, 10) == 1
    assert most_over([0.0] * 10 + [1.0, 1.0], 1, 10) == 1


@pytest.mark.redis
def test_ten_times_the_limit_with_a_router_and_then_redis_killed(fleet: Fleet, server: RedisServer) -> None:
    server.run("SET", "somebody-else", "s")
    time.sleep(LEASE_TTL_S)  # of the outside world: the limit is as it is in the middle of things
    fleet.start(pace=10 * fleet.rate, seconds=30)
    began = time.monotonic()
    _wait_until(began + 8)
    fleet.processes[0].kill()
    _wait_until(began + 14)
    server.kill()
    _wait_until(began + 21)
    server.start()
    for process in fleet.processes:
        process.wait()
    times, _ = fleet.logs()
    assert most_over(times, fleet.rate, fleet.burst) <= 1e-3
    seen = times[-1] - times[0]
    assert len(times) >= 0.6 * fleet.rate * seen, "limits that admit nothing keep any limit"
    while_away = bisect_right(times, began + 20.5) - bisect_right(times, began + 16.5)
    assert while_away >= 0.5 * fleet.rate * 4


@pytest.mark.redis
def test_at_exactly_the_limit_nearly_all_is_admitted(fleet: Fleet) -> None:
    fleet.start(pace=fleet.rate, seconds=15)
    for process in fleet.processes:
        process.wait()
    times, refused = fleet.logs()
    settled = times[0] + 2 * LEASE_TTL_S  # a store that has just begun to remember leases nothing at first
    late, lost = (len(each) - bisect_right(each, settled) for each in (times, refused))
    assert late >= 0.99 * (late + lost)
    assert late >= 5 * fleet.rate
    assert most_over(times, fleet.rate, fleet.burst) <= 1e-3


@pytest.mark.redis
def test_a_redis_that_is_flushed_under_ten_times_the_limit(fleet: Fleet, server: RedisServer) -> None:
    """It remembers nothing of the tokens that routers have; they know, and it fills up again."""
    server.run("SET", "somebody-else", "s")
    time.sleep(LEASE_TTL_S)
    fleet.start(pace=10 * fleet.rate, seconds=15)
    began = time.monotonic()
    for later_s in (4, 4.5, 8):
        _wait_until(began + later_s)
        server.run("FLUSHALL")
    _never_over_and_well_at_the_end(fleet)


@pytest.mark.redis
def test_a_failover_under_ten_times_the_limit(watched_redis: Watched, tmp_path: Path) -> None:
    """The replica may lack what its master said last: it counts as a memory that was lost."""
    time.sleep(LEASE_TTL_S)
    fleet = Fleet(watched_redis.url, tmp_path, rate=200, burst=200)
    try:
        fleet.start(pace=10 * fleet.rate, seconds=20)
        _wait_until(time.monotonic() + 7)
        watched_redis.master.kill()
        until(watched_redis.has_failed_over, "the replica does not become the master")
        _never_over_and_well_at_the_end(fleet)
    finally:
        fleet.end()


@pytest.mark.redis
def test_what_routers_have_left_is_home_when_they_stop(fleet: Fleet, server: RedisServer) -> None:
    fleet.start(pace=fleet.rate, seconds=LEASE_TTL_S + 2)
    held = []
    while any(process.poll() is None for process in fleet.processes):
        held.append(_held(server))
        time.sleep(0.05)
    assert max(held) > 0
    assert _held(server) == 0
    assert [process.wait() for process in fleet.processes] == [0] * ROUTERS


def _never_over_and_well_at_the_end(fleet: Fleet) -> None:
    """Once it has ended: nearly all of the rate in its last 3 s."""
    for process in fleet.processes:
        process.wait()
    times, _ = fleet.logs()
    assert most_over(times, fleet.rate, fleet.burst) <= 1e-3
    assert len([at for at in times if at > times[-1] - 3]) >= 0.9 * 3 * fleet.rate


def _held(server: RedisServer) -> int:
    """Tokens that Redis counts as held by routers, forgotten ones left out."""
    bucket = server.run("HGETALL", "{plat}:lease:f:f")
    assert isinstance(bucket, dict)
    leases = [value for name, value in bucket.items() if name.startswith(b":r")]
    return sum(int(float(value.split()[0])) for value in leases)


def _wait_until(at: float) -> None:
    time.sleep(max(0.0, at - time.monotonic()))


# --- one router, over HTTP


@pytest.mark.redis
async def test_limits_of_a_router_are_in_redis(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance, server: RedisServer
) -> None:
    router = await run_router(redis_url=server.url)
    await asyncio.sleep(LEASE_TTL_S + 0.5)  # a Redis that has just begun to remember
    await pool.put(msgspec.structs.replace(route("g", rate=0.01, burst=3), versions=route().versions))
    await run_instance()
    statuses = [(await router.get("/function/g")).status for _ in range(5)]
    assert statuses[-2:] == [429, 429]
    assert server.run("EXISTS", "{plat}:lease:f:g") == 1
    assert "plat_limiter_up 1" in await router.metrics()


async def test_without_redis_the_pool_keeps_them(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance
) -> None:
    router = await run_router()
    await pool.put(route(rate=0.01, burst=3))
    await run_instance()
    answers = [await router.get() for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer.get("RateLimit") for answer in answers[:3]] == [
        '"function";r=2',
        '"function";r=1',
        '"function";r=0;t=100',
    ]
    assert answers[0].get("RateLimit-Policy") == '"function";q=1;w=100;burst=3'
    assert answers[-1].get("RateLimit-Policy") == '"function";q=1;w=100;burst=3'
    assert (answers[-1].get("RateLimit") or "").startswith('"function";r=0;t=')
    assert msgspec.json.decode(answers[-1].body)["code"] == "rate_limited"


async def test_a_redis_out_of_reach_at_the_start_stops_nobody(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance
) -> None:
    router = await run_router(redis_url="redis://127.0.0.1:1")
    await pool.put(route(rate=100, burst=100))
    await run_instance()
    deadline = time.monotonic() + 10
    while (await router.get()).status != 200:
        assert time.monotonic() < deadline, "its share is never admitted"
    await router.until_metrics("plat_limiter_up 0")


async def test_an_url_that_is_none_is_refused() -> None:
    for url in ("http://x", "redis+sentinel://host", "redis://host:port"):
        with pytest.raises(StoreError):
            RedisStore(url)


@pytest.mark.redis
async def test_a_password(data_dir: Path) -> None:
    server = RedisServer(data_dir)
    server.start()
    try:
        server.run("CONFIG", "SET", "requirepass", "secret")
        ask = Ask("k", 1.0, 1, 0, 0, 1, 0.0, 1e9, False)
        wrong = RedisStore(f"unix://:wrong@{server.path}")
        with pytest.raises(StoreError) as error:
            await wrong.lease("a", 1, [ask])
        assert "wrong" not in str(error.value)
        await wrong.close()
        store = RedisStore(f"unix://:secret@{server.path}")
        assert len(await store.lease("a", 1, [ask])) == 1
        await store.close()
    finally:
        server.kill()
