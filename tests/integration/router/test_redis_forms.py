"""Leases from each form of Redis, and through a link to it that is slow, cut, or silent."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from plat.feed import Route, RouteVersion
from plat.leasing import LEASE_TTL_S, Ask
from plat.tasks import cancel, spawn
from router.limits.buckets import WAIT
from router.limits.leases import TIMEOUT_S, Leasing, StoreError
from router.limits.limiter import Limiter
from router.limits.redis_store import BUCKETS_A_CALL, RedisStore
from router.metrics import Metrics
from tests.integration.redis_forms import StartRedis, Watched, free_port, run_cluster
from tests.integration.redis_server import RedisServer
from tests.unit.plat.leasing_contract import with_key

pytestmark = pytest.mark.redis

ASK = Ask("k", 1.0, 4, 0, 0, 1, 0.0, 1e9, False)
WAIT_S = 15.0


async def leases_something(url: str) -> None:
    store = RedisStore(url)
    try:
        async with asyncio.timeout(WAIT_S):
            [first] = await store.lease("a", 1, [ASK])
            assert first.forgotten_s > 0
            await asyncio.sleep(LEASE_TTL_S + 1.1)
            [second] = await store.lease("a", 2, [ASK])
        assert second.lease == 1
    finally:
        await store.close()


async def test_tls_and_a_password(start_redis: StartRedis, data_dir: Path) -> None:
    key, certificate, port = data_dir / "key.pem", data_dir / "cert.pem", free_port()
    subprocess.run(  # noqa: ASYNC221 - nothing else runs yet
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    tls = ("--tls-port", port, "--tls-cert-file", key.with_name("cert.pem"), "--tls-key-file", key)
    server = start_redis("tls", *tls, "--tls-ca-cert-file", certificate, "--tls-auth-clients", "no")
    server.run("CONFIG", "SET", "requirepass", "secret")
    await leases_something(f"rediss://:secret@localhost:{port}?ssl_ca_certs={certificate}")
    distrusting = RedisStore(f"rediss://:secret@localhost:{port}")
    with pytest.raises(StoreError):
        await distrusting.lease("a", 1, [ASK])
    await distrusting.close()


async def test_a_cluster(start_redis: StartRedis) -> None:
    url = run_cluster(start_redis)
    await leases_something(url)
    store = RedisStore(url)
    many = [with_key(ASK, f"many {number}") for number in range(2 * BUCKETS_A_CALL + 1)]
    assert [answer.lease for answer in await store.lease("a", 1, many)] == [1] * len(many)
    await store.close()


async def test_a_failover_by_sentinel_is_a_memory_that_was_lost(watched_redis: Watched) -> None:
    store = RedisStore(watched_redis.url)
    try:
        [first] = await until_answered(store, 1)
        assert first.forgotten_s > 0
        await asyncio.sleep(LEASE_TTL_S + 1.5)
        assert (await store.lease("a", 100, [ASK]))[0].lease == 1
        watched_redis.master.kill()
        [answer] = await until_answered(store, 101)
        assert (answer.lease, answer.forgotten_s > 0) == (0, True)
    finally:
        await store.close()


async def until_answered(store: RedisStore, number: int) -> list:  # type: ignore[type-arg]
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return await store.lease("a", number, [ASK])
        except StoreError:
            assert time.monotonic() < deadline, "it never answers"
            await asyncio.sleep(0.1)
            number += 1


async def test_a_sentinel_that_is_silent_is_passed_over(watched_redis: Watched) -> None:
    kept: list[asyncio.Task[None] | None] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept.append(asyncio.current_task())
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(keep, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    store = RedisStore(watched_redis.url.replace("127.0.0.1", f"127.0.0.1:{port},127.0.0.1"))
    numbers, deadline = count(1), time.monotonic() + WAIT_S
    answer = None
    while answer is None and time.monotonic() < deadline:
        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(TIMEOUT_S):
                [answer] = await store.lease("a", next(numbers), [ASK])
    await store.close()
    silent.close()
    await asyncio.wait(filter(None, kept), timeout=WAIT_S)
    assert answer is not None, "the second one is not asked"


async def test_a_request_can_be_cancelled_at_every_turn(start_redis: StartRedis) -> None:
    store = RedisStore(start_redis("one").url)

    async def lease_for_ever() -> None:
        for number in count(1):
            await store.lease("a", number, [ASK])

    for turns in range(200):
        task = spawn(lease_for_ever(), "leases")
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        ended, _ = await asyncio.wait([task], timeout=WAIT_S)
        assert ended, f"cancelled after {turns} turns of the loop, and still there"
    await store.close()


# --- a link that is not well


class Link:
    """Before the Redis's socket: `delay_s` on each piece, or silence, or no connection."""

    def __init__(self, path: Path, server: RedisServer) -> None:
        self.url = f"unix://{path}"
        self.delay_s = 0.0
        self.silent = False
        self._path, self._server = path, server
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._listener = await asyncio.start_unix_server(self._serve, self._path)

    def cut(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._path.unlink(missing_ok=True)
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_unix_connection(self._server.path)
        self._writers |= {writer, their_writer}
        with suppress(ConnectionError):
            await asyncio.gather(self._copy(reader, their_writer), self._copy(their_reader, writer))
        for each in (writer, their_writer):
            each.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await asyncio.sleep(self.delay_s)
            if not self.silent:
                writer.write(data)
        writer.close()


class Calls:
    """One router with one limit, called all the time."""

    def __init__(self, url: str, *, closed: bool) -> None:
        self.metrics = Metrics()
        self.limiter = Limiter()
        self.leasing = Leasing("r", self.limiter, RedisStore(url), self.metrics, clock=time.monotonic)
        version = (RouteVersion("v", 1, 1, 30.0),)
        fail = "closed" if closed else "open"
        self.route = Route("f", 1, False, "public", 60.0, 50.0, 50, version, limit_fail=fail)
        self.admitted: list[float] = []
        self.refused: list[float] = []

    def resume(self, now: float) -> None:
        bucket = self.limiter.of_function(self.route, now)
        told = bucket.take(now)
        if told == 0:
            self.admitted.append(now)
        elif told == WAIT:
            bucket.waiters.append(self)
        else:
            self.refused.append(now)

    async def flood(self, seconds: float, every_s: float = 0.002) -> int:
        """How many were admitted in that time."""
        before, end = len(self.admitted), time.monotonic() + seconds
        while time.monotonic() < end:
            self.resume(time.monotonic())
            self.limiter.tick(time.monotonic(), lambda _: True)
            await asyncio.sleep(every_s)
        return len(self.admitted) - before

    def check(self) -> None:
        for first, begin in enumerate(self.admitted):
            for last in range(first, len(self.admitted)):
                assert last - first + 1 <= 50 + 50 * (self.admitted[last] - begin) + 1e-3


@pytest.fixture
async def link(start_redis: StartRedis, data_dir: Path) -> AsyncIterator[Link]:
    link = Link(data_dir / "link.sock", start_redis("redis"))
    await link.open()
    yield link
    link.cut()


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
async def test_slow_then_silent_then_cut_then_well(link: Link, closed: bool) -> None:
    calls = Calls(link.url, closed=closed)
    run = spawn(calls.leasing.run(), "leases")
    await calls.flood(LEASE_TTL_S + 0.5)
    link.delay_s = 0.05
    assert await calls.flood(2) > 0
    assert calls.metrics.limiter_up
    link.silent = True
    await calls.flood(TIMEOUT_S + LEASE_TTL_S + 0.5)
    assert not calls.metrics.limiter_up
    assert (await calls.flood(1) > 0) != closed
    link.cut()
    assert (await calls.flood(1) > 0) != closed
    link.silent, link.delay_s = False, 0.0
    await link.open()
    await calls.flood(LEASE_TTL_S + 1)
    assert calls.metrics.limiter_up
    assert await calls.flood(1) > 0
    await cancel(run)
    await calls.leasing.give_back()
    calls.check()


async def test_who_is_far_under_the_limit_notices_neither_that_redis_is_silent_nor_that_it_is_back(
    link: Link,
) -> None:
    calls = Calls(link.url, closed=False)
    run = spawn(calls.leasing.run(), "leases")
    await calls.flood(LEASE_TTL_S + 0.5, every_s=0.3)
    link.silent = True
    await calls.flood(TIMEOUT_S + LEASE_TTL_S + 1, every_s=0.3)
    assert not calls.metrics.limiter_up
    link.silent = False
    assert await calls.flood(TIMEOUT_S + LEASE_TTL_S + 2, every_s=0.3) > 10
    assert calls.metrics.limiter_up
    await cancel(run)
    await calls.leasing.give_back()
    assert calls.refused == []
