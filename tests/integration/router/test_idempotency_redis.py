"""Idempotency keys in real Redis servers: alone and as a Cluster; slow, killed, flushed, not there at all."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from plat.errors import PlatError
from plat.idempotency import HOLD_S, Begin, Claim, Finish, Renew, State
from plat.tasks import cancel, spawn
from router.idempotency.claims import Claimed, Kept
from router.idempotency.key import Keyed, scope
from router.idempotency.keys import ASK_S, Idempotency
from router.idempotency.redis_store import TAGS, RedisKeys
from router.limits.leases import StoreError
from router.metrics import Metrics
from tests.integration.redis_forms import StartRedis, Watched, run_cluster
from tests.integration.redis_server import RedisServer
from tests.integration.router.wire import until

pytestmark = pytest.mark.redis

WAIT_S = 20.0
KEEP_S = 60.0
KEYS = [scope("f", None, str(number)) for number in range(200)]
MakeIdempotency = Callable[..., Idempotency]
ANSWER = Kept(200, b"OK", [(b"X", b"\xff")], bytes(range(256)))


@pytest.fixture
def server(data_dir: Path) -> Iterator[RedisServer]:
    server = RedisServer(data_dir)
    yield server
    server.kill()


@pytest.fixture
async def make(server: RedisServer) -> AsyncIterator[MakeIdempotency]:
    """Routers' parts, each with a connection of its own."""
    made: list[tuple[Idempotency, asyncio.Task[None]]] = []

    def idempotency(url: str = server.url) -> Idempotency:
        one = Idempotency(RedisKeys(url), Metrics(), keep_s=KEEP_S, clock=time.monotonic)
        made.append((one, spawn(one.run(), "idempotency keys")))
        return one

    yield idempotency
    for one, task in made:
        await cancel(task)
        await one.stop()
        await one.close()


async def claimed(store: RedisKeys, key: str, token: str = "t") -> State:
    """Once the memory is old enough."""
    deadline = time.monotonic() + WAIT_S
    while True:
        verdict = await store.ask(Claim(key, token, "f"))
        if verdict.state is not State.YOUNG:
            return verdict.state
        assert time.monotonic() < deadline, "its memory stays young"
        await asyncio.sleep(0.1)


class Function:
    """Counts its executions."""

    def __init__(self) -> None:
        self.executions = 0
        self.gate = asyncio.Event()

    async def __call__(self, claim: Claimed) -> Kept:
        await claim.begin()
        self.executions += 1
        assert self.executions == 1, "it is executed again"
        await self.gate.wait()
        await claim.finish(ANSWER)
        return ANSWER

    async def until_executed(self) -> None:
        await until(lambda: self.executions > 0)


def memory(key: str) -> str:
    return f"{{plat:key:{int(key[:8], 16) % TAGS}}}:memory"


def record(key: str) -> str:
    return f"{{plat:key:{int(key[:8], 16) % TAGS}}}:{key}"


def keyed(number: int = 0) -> Keyed:
    return Keyed(KEYS[number], "f" * 64, None)


async def test_keys_of_all_tags(server: RedisServer) -> None:
    server.start()
    store = RedisKeys(server.url)
    await store.open()
    assert len(server.run("KEYS", "{plat:key:*}:memory")) == TAGS  # type: ignore[arg-type]
    began = time.monotonic()
    states = await asyncio.gather(*(claimed(store, key) for key in KEYS))
    assert set(states) == {State.MINE}
    assert time.monotonic() - began < HOLD_S * 2, "every memory has begun at once"
    assert await claimed(store, KEYS[0], "other") is State.RUNNING
    await store.close()


async def test_a_cluster(start_redis: StartRedis) -> None:
    store = RedisKeys(run_cluster(start_redis))
    await store.open()
    for key in KEYS[:8]:
        assert await claimed(store, key) is State.MINE
        assert (await store.ask(Begin(key, "t", KEEP_S))).state is State.MINE
        assert (await store.ask(Finish(key, "t", "f", b"\x00\xff", KEEP_S))).state is State.MINE
        assert (await store.ask(Claim(key, "u", "f"))).answer == b"\x00\xff"
    await store.close()


async def test_not_there_and_then_there(server: RedisServer, make: MakeIdempotency) -> None:
    one, function = make(), Function()
    function.gate.set()
    with pytest.raises(Exception, match="Nothing was executed"):
        await one.once(keyed(), WAIT_S, function)
    assert function.executions == 0
    server.start()
    async with asyncio.timeout(WAIT_S):
        assert await one.once(keyed(), WAIT_S, function) == ANSWER
    assert function.executions == 1


@pytest.mark.parametrize("way", ["killed", "flushed", "silent"])
async def test_gone_while_a_call_is_in_flight(server: RedisServer, make: MakeIdempotency, way: str) -> None:
    """Two routers; whatever becomes of Redis, there is one execution, and everybody has its answer."""
    server.start()
    one, other, function = make(), make(), Function()
    first = spawn(one.once(keyed(), WAIT_S, function), "first")
    await function.until_executed()
    match way:
        case "killed":
            server.kill()
            server.start()
        case "flushed":
            server.run("FLUSHALL")
        case "silent":
            assert server._process is not None
            os.kill(server._process.pid, signal.SIGSTOP)
            with pytest.raises(Exception, match="Nothing was executed"):
                await other.once(keyed(), WAIT_S, function)
            await asyncio.sleep(ASK_S)
            os.kill(server._process.pid, signal.SIGCONT)
    second = spawn(other.once(keyed(), WAIT_S, function), "second")
    await asyncio.wait([second], timeout=HOLD_S + 1)
    assert function.executions == 1
    function.gate.set()
    assert await first == ANSWER
    assert await second == ANSWER
    assert await other.once(keyed(), 0, function) == ANSWER
    assert function.executions == 1


async def test_an_answer_that_redis_missed_is_told_later(server: RedisServer, make: MakeIdempotency) -> None:
    server.start()
    one, other, function = make(), make(), Function()
    first = spawn(one.once(keyed(), WAIT_S, function), "first")
    await function.until_executed()
    server.kill()
    function.gate.set()
    assert await first == ANSWER
    server.start()
    await until(lambda: not one.claims())
    assert await other.once(keyed(), 0, function) == ANSWER
    assert function.executions == 1


@pytest.mark.parametrize("replicated", [True, False], ids=["replicated", "not replicated"])
async def test_a_failover_by_sentinel_while_a_call_is_in_flight(
    watched_redis: Watched, make: MakeIdempotency, replicated: bool
) -> None:
    """Whether or not the claim had reached the replica, which is the master now: nobody else executes."""
    one, other, function = make(watched_redis.url), make(watched_redis.url), Function()
    first = spawn(one.once(keyed(), WAIT_S, function), "first")
    await function.until_executed()
    watched_redis.replicate()
    watched_redis.master.kill()
    if not replicated:
        watched_redis.replica.run("CONFIG", "SET", "replica-read-only", "no")
        assert watched_redis.replica.run("DEL", record(KEYS[0])) == 1
    deadline = time.monotonic() + WAIT_S
    while await refused(other, function) != "idempotency_in_flight" or not watched_redis.has_failed_over():
        assert time.monotonic() < deadline, "the new master does not hear of the claim"
        await asyncio.sleep(0.1)
    function.gate.set()
    assert await first == ANSWER
    assert await other.once(keyed(), WAIT_S, function) == ANSWER
    assert function.executions == 1


async def refused(other: Idempotency, function: Function) -> str:
    """Why a call that does not wait is not executed."""
    with pytest.raises(PlatError) as told:
        await other.once(keyed(), 0, function)
    return told.value.code


async def test_an_answer_that_was_replicated_outlives_a_failover(
    watched_redis: Watched, make: MakeIdempotency
) -> None:
    one, other, function = make(watched_redis.url), make(watched_redis.url), Function()
    function.gate.set()
    assert await one.once(keyed(), WAIT_S, function) == ANSWER
    watched_redis.replicate()
    watched_redis.master.kill()
    await until(watched_redis.has_failed_over)
    assert await until_told(other, function) == ANSWER
    assert function.executions == 1


async def until_told(other: Idempotency, function: Function) -> Kept:
    """Also by a new master that its Sentinel does not name yet."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return await other.once(keyed(), 0, function)
        except PlatError as error:
            assert error.code == "idempotency_unavailable"
            assert time.monotonic() < deadline, "nobody tells the answer"
            await asyncio.sleep(0.1)


async def test_what_is_no_url_of_redis() -> None:
    with pytest.raises(StoreError, match="redis_url begins"):
        RedisKeys("http://localhost")


async def test_a_renewal_that_comes_late_makes_no_key(server: RedisServer) -> None:
    server.start()
    store = RedisKeys(server.url)
    assert await claimed(store, KEYS[0]) is State.MINE
    late = Renew(KEYS[1], "gone", "f", True, KEEP_S)
    server.run("HSET", memory(KEYS[1]), "since", 0, "run", run_id(server))
    assert (await store.ask(late)).state is State.LOST
    await store.close()


def run_id(server: RedisServer) -> str:
    info = server.run("INFO", "server")
    assert isinstance(info, dict)
    return str(info["run_id"])
