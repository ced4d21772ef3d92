"""`idempotency.lua` in a real Redis keeps to the same contract as the reference, and answers as it does."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plat.idempotency import LEASE_S, Begin, Claim, Finish, Records, Release, Renew, Request, Verdict
from router.idempotency.redis_store import SCRIPT, arguments, read_verdict
from tests.integration.router.clocked_script import ClockedScript
from tests.unit.plat.idempotency_contract import KEEP_S, LONG_S, START, IdempotencyContract, MakeStore

pytestmark = pytest.mark.redis


class ScriptStore(ClockedScript):
    def __init__(self, client: Any, since: float) -> None:
        super().__init__(client, SCRIPT)
        self.run(["memory", "nothing"], ["open", "", "", LEASE_S, 0, ""], since)

    def answer(self, request: Request, now: float) -> Verdict:
        return read_verdict(self.run(["memory", request.key], arguments(request), now))


class TestScript(IdempotencyContract):
    @pytest.fixture
    def make_store(self, redis_client: Any) -> MakeStore:
        return lambda since: ScriptStore(redis_client, since)


tokens = st.sampled_from("abc")
requests = st.one_of(
    st.builds(Claim, st.just("k"), tokens, st.sampled_from("xy")),
    st.builds(Begin, st.just("k"), tokens, st.just(KEEP_S)),
    st.builds(Renew, st.just("k"), tokens, st.sampled_from("xy"), st.booleans(), st.just(KEEP_S)),
    st.builds(Finish, st.just("k"), tokens, st.sampled_from("xy"), st.binary(), st.just(KEEP_S)),
    st.builds(Release, st.just("k"), tokens),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(requests, st.sampled_from([0.0, 0.5, LEASE_S - 0.5, LEASE_S])), max_size=30),
    st.sampled_from([0.0, LONG_S]),
)
def test_it_answers_as_the_reference_does(
    redis_client: Any, script: list[tuple[Request, float]], age_s: float
) -> None:
    reference, store = Records(START - age_s, 1_000_000), ScriptStore(redis_client, START - age_s)
    now = START
    for request, pause_s in script:
        now += pause_s
        assert store.answer(request, now) == reference.answer(request, now), request


def test_keys_go_by_themselves(redis_client: Any) -> None:
    store = ScriptStore(redis_client, START - LONG_S)
    left = []
    for request in (Claim("k", "a", "f"), Begin("k", "a", KEEP_S), Finish("k", "a", "f", b"x", 60.0)):
        store.answer(request, START)
        left.append(redis_client.pttl(f"{store.tag}k") / 1000)
    assert [round(seconds) for seconds in left] == [LEASE_S, KEEP_S, 60]


def test_another_run_of_the_server_is_a_new_memory(redis_client: Any) -> None:
    store = ScriptStore(redis_client, START - LONG_S)
    store.answer(Claim("k", "a", "f"), START)
    redis_client.hset(f"{store.tag}memory", "run", "another")
    assert store.answer(Claim("other", "a", "f"), START).state == "young"
    assert store.answer(Claim("k", "b", "f"), START).state == "running"
