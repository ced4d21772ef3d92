"""The pool's keys keep the contract; a pool that has just started waits for its routers, and not longer."""

import pytest

from plat.feed import KeyRequest
from plat.idempotency import HOLD_S, Claim, Renew, Request, State, Verdict
from pool.keys import SWEEP_S, Keys
from tests.unit.plat.idempotency_contract import KEEP_S, IdempotencyContract, MakeStore


class OverTheFeed:
    """The pool's keys, as a router asks them."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def answer(self, request: Request, now: float) -> Verdict:
        told = self._keys.answer(KeyRequest(7, request), now)
        assert told.number == 7
        return told.verdict


class TestKeys(IdempotencyContract):
    @pytest.fixture
    def make_store(self) -> MakeStore:
        return lambda since: OverTheFeed(Keys(2, 1_000_000, since))


def claimed(keys: Keys, key: str, at: float) -> State:
    return keys.answer(KeyRequest(1, Claim(key, "new", "f")), at).verdict.state


def test_all_routers_are_here_and_nothing_is_in_flight() -> None:
    keys = Keys(2, 1000, 100.0)
    keys.router_here("a", [], 100.1)
    assert claimed(keys, "k", 100.1) is State.YOUNG
    keys.router_here("a", [], 100.2)
    assert claimed(keys, "k", 100.2) is State.YOUNG
    keys.router_here("b", [], 100.3)
    assert claimed(keys, "k", 100.3) is State.MINE


def test_what_is_in_flight_is_told_with_the_first_word() -> None:
    keys = Keys(1, 1000, 100.0)
    keys.router_here(
        "a", [Renew("begun", "t", "f", True, KEEP_S), Renew("claimed", "u", "f", False, KEEP_S)], 101
    )
    assert [claimed(keys, key, 101) for key in ("begun", "claimed", "other")] == [
        State.RUNNING,
        State.RUNNING,
        State.MINE,
    ]


def test_one_in_the_place_of_another_does_not_make_up_for_a_third() -> None:
    keys = Keys(2, 1000, 100.0)
    keys.router_here("a", [], 100.1)
    keys.router_away("a")
    keys.router_here("a again", [], 100.2)
    assert claimed(keys, "k", 100.2) is State.YOUNG
    keys.router_here("b", [], 100.3)
    assert claimed(keys, "k", 100.3) is State.MINE


def test_a_router_that_does_not_come_is_waited_for_but_not_for_ever() -> None:
    keys = Keys(2, 1000, 100.0)
    keys.router_here("a", [], 100.1)
    assert claimed(keys, "k", 100 + HOLD_S) is State.MINE


def test_what_is_over_is_swept_now_and_then() -> None:
    keys = Keys(1, 1000, 100.0)
    keys.router_here("a", [], 100.0)
    claimed(keys, "k", 100.0)
    claimed(keys, "other", 100.0 + SWEEP_S)
    assert len(keys.records) == 1
