"""`lease.lua` in a real Redis keeps to the same contract as the reference, and answers as it does."""

import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plat.leasing import PERMITS, Answer, Ask, Buckets
from router.limits.redis_store import SCRIPT, arguments, read_answers
from tests.integration.redis_server import RedisServer
from tests.unit.plat.leasing_contract import (
    LONG_S,
    START,
    LeasingContract,
    MakeStore,
    Step,
    World,
    scripts,
    with_key,
)

pytestmark = pytest.mark.redis

_stores = count()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="plat-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        yield server
        server.kill()


@pytest.fixture(scope="module")
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=str(server.path)) as client:
        yield client


class ScriptStore:
    """The script, but for its clock: that is a key of the test's."""

    def __init__(self, client: Any, since: float) -> None:
        self._tag = f"{{test-{next(_stores)}}}"
        script = SCRIPT.replace("redis.call('TIME')", f"redis.call('LRANGE', '{self._tag}clock', 0, -1)")
        assert script != SCRIPT
        self._client = client
        self._run = client.register_script(script)
        self.lease("nobody", 1, [], since)

    def lease(self, router: str, number: int, asks: list[Ask], now: float) -> list[Answer]:
        clock, micro = f"{self._tag}clock", round(now * 1e6)
        self._client.delete(clock)
        self._client.rpush(clock, micro // 1_000_000, micro % 1_000_000)
        keys = [f"{self._tag}memory", *(self._tag + ask.key for ask in asks)]
        return read_answers(self._run(keys, arguments(router, number, asks)))


class TestScript(LeasingContract):
    @pytest.fixture
    def make_store(self, client: Any) -> MakeStore:
        return lambda since: ScriptStore(client, since)


class Both:
    """Asks the reference and the script, and compares."""

    def __init__(self, client: Any, since: float) -> None:
        self._reference = Buckets(since)
        self._script = ScriptStore(client, since)

    def lease(self, router: str, number: int, asks: list[Ask], now: float) -> list[Answer]:
        now = round(now, 6)
        expected = self._reference.lease(router, number, asks, now)
        answers = self._script.lease(router, number, asks, now)
        for answer, told in zip(answers, expected, strict=True):
            assert answer.lease == told.lease
            assert answer.left == pytest.approx(told.left, abs=1e-3)
            assert answer.wait_s == pytest.approx(told.wait_s, abs=1e-3)
            assert answer.forgotten_s == pytest.approx(told.forgotten_s, abs=1e-3)
        return answers


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scripts, st.sampled_from([0.3, 2.0, 20.0]), st.integers(1, 12), st.sampled_from([0.0, LONG_S / 2]))
def test_it_answers_as_the_reference_does(
    client: Any, script: list[Step], rate: float, burst: int, age_s: float
) -> None:
    world = World(Both(client, START - age_s), rate, burst)
    world.play(script)
    world.check()


def test_many_buckets_in_one_call(client: Any) -> None:
    store = ScriptStore(client, START - LONG_S / 2)
    asks = [with_key(Ask("", 10.0, 8, 0, 0, number, 0.0, 0.0, False), f"k{number}") for number in range(5)]
    assert [answer.lease for answer in store.lease("a", 2, asks, START)] == [0, 1, 2, 3, 4]


def test_a_bucket_goes_by_itself_once_it_is_full(client: Any) -> None:
    store = ScriptStore(client, START - LONG_S / 2)
    store.lease("a", 2, [Ask("k", 2.0, 10, 0, 0, 5, 0.0, LONG_S, False)], START)
    store.lease("a", 3, [Ask("p", PERMITS, 10, 0, 0, 5, 0.0, LONG_S, False)], START)
    ttls = [client.pttl(f"{store._tag}{key}") for key in "kp"]
    assert 7_000 < ttls[0] <= 8_000
    assert 2_000 < ttls[1] <= 3_000


def test_a_clock_that_was_set_back_stops_nobody_for_long(client: Any) -> None:
    store = ScriptStore(client, START - LONG_S / 2)
    store.lease("a", 2, [Ask("k", 1.0, 3, 0, 0, 3, 0.0, LONG_S, False)], START)
    back = START - 100_000
    assert store.lease("b", 2, [Ask("k", 1.0, 3, 0, 0, 3, 0.0, LONG_S, False)], back)[0].lease == 0
    assert store.lease("b", 3, [Ask("k", 1.0, 3, 0, 0, 3, 0.0, LONG_S, False)], back + 4)[0].lease == 2
