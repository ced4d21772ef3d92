"""`lease.lua` in a real Redis keeps to the same contract as the reference, and answers as it does."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plat.leasing import PERMITS, Answer, Ask, Buckets
from router.limits.redis_store import SCRIPT, arguments, read_answers
from tests.integration.router.clocked_script import ClockedScript
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


class ScriptStore(ClockedScript):
    def __init__(self, client: Any, since: float) -> None:
        super().__init__(client, SCRIPT)
        self.lease("nobody", 1, [], since)

    def lease(self, router: str, number: int, asks: list[Ask], now: float) -> list[Answer]:
        names = ["memory", *(ask.key for ask in asks)]
        return read_answers(self.run(names, arguments(router, number, asks), now))


class TestScript(LeasingContract):
    @pytest.fixture
    def make_store(self, redis_client: Any) -> MakeStore:
        return lambda since: ScriptStore(redis_client, since)


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
    redis_client: Any, script: list[Step], rate: float, burst: int, age_s: float
) -> None:
    world = World(Both(redis_client, START - age_s), rate, burst)
    world.play(script)
    world.check()


def test_many_buckets_in_one_call(redis_client: Any) -> None:
    store = ScriptStore(redis_client, START - LONG_S / 2)
    asks = [with_key(Ask("", 10.0, 8, 0, 0, number, 0.0, 0.0, False), f"k{number}") for number in range(5)]
    assert [answer.lease for answer in store.lease("a", 2, asks, START)] == [0, 1, 2, 3, 4]


def test_a_bucket_goes_by_itself_once_it_is_full(redis_client: Any) -> None:
    store = ScriptStore(redis_client, START - LONG_S / 2)
    store.lease("a", 2, [Ask("k", 2.0, 10, 0, 0, 5, 0.0, LONG_S, False)], START)
    store.lease("a", 3, [Ask("p", PERMITS, 10, 0, 0, 5, 0.0, LONG_S, False)], START)
    ttls = [redis_client.pttl(f"{store.tag}{key}") for key in "kp"]
    assert 7_000 < ttls[0] <= 8_000
    assert 2_000 < ttls[1] <= 3_000


def test_a_clock_that_was_set_back_stops_nobody_for_long(redis_client: Any) -> None:
    store = ScriptStore(redis_client, START - LONG_S / 2)
    store.lease("a", 2, [Ask("k", 1.0, 3, 0, 0, 3, 0.0, LONG_S, False)], START)
    back = START - 100_000
    assert store.lease("b", 2, [Ask("k", 1.0, 3, 0, 0, 3, 0.0, LONG_S, False)], back)[0].lease == 0
    assert store.lease("b", 3, [Ask("k", 1.0, 3, 0, 0, 3, 0.0, LONG_S, False)], back + 4)[0].lease == 2
