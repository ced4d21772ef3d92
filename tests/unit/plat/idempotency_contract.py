"""What every store of idempotency keys keeps to: the reference, the pool's, and the script in Redis.

Time is told to the store under test, so that nothing here waits.
"""

from collections.abc import Callable
from typing import Protocol

import pytest

from plat.idempotency import (
    HOLD_S,
    LEASE_S,
    Begin,
    Claim,
    Finish,
    Release,
    Renew,
    Request,
    State,
    Verdict,
)

START = 1_700_000_000.0
LONG_S = 1e6
KEEP_S = 3600.0


class StoreUnderTest(Protocol):
    """A store that remembers since `since`."""

    def answer(self, request: Request, now: float) -> Verdict: ...


MakeStore = Callable[[float], StoreUnderTest]
"""Makes a store that remembers since then."""


class Asking:
    """A store with one key; owners are named by their tokens."""

    def __init__(self, store: StoreUnderTest) -> None:
        self._store = store

    def claim(self, token: str, at: float, fingerprint: str = "f", key: str = "k") -> Verdict:
        return self._store.answer(Claim(key, token, fingerprint), START + at)

    def begin(self, token: str, at: float) -> State:
        return self._store.answer(Begin("k", token, KEEP_S), START + at).state

    def renew(self, token: str, at: float, *, begun: bool) -> State:
        return self._store.answer(Renew("k", token, "f", begun, KEEP_S), START + at).state

    def finish(self, token: str, at: float, answer: bytes = b"answer") -> State:
        return self._store.answer(Finish("k", token, "f", answer, KEEP_S), START + at).state

    def release(self, token: str, at: float) -> State:
        return self._store.answer(Release("k", token), START + at).state


class IdempotencyContract:
    """Inherit, and give a fixture `make_store`."""

    @pytest.fixture
    def asking(self, make_store: MakeStore) -> Asking:
        return Asking(make_store(START - LONG_S))

    def test_the_first_gets_it_and_the_second_waits(self, asking: Asking) -> None:
        assert asking.claim("a", 0).state is State.MINE
        assert asking.claim("b", 1) == Verdict(State.RUNNING, "f")
        assert asking.begin("a", 1) is State.MINE
        assert asking.claim("b", 2) == Verdict(State.RUNNING, "f")
        assert asking.finish("a", 3) is State.MINE
        assert asking.claim("b", 4) == Verdict(State.DONE, "f", b"answer")

    def test_keys_do_not_know_each_other(self, asking: Asking) -> None:
        asking.claim("a", 0)
        assert asking.claim("b", 0, key="other").state is State.MINE

    def test_the_fingerprint_is_that_of_the_first(self, asking: Asking) -> None:
        asking.claim("a", 0, "first")
        assert asking.claim("b", 0, "second").fingerprint == "first"

    def test_a_claim_said_twice_is_one(self, asking: Asking) -> None:
        asking.claim("a", 0)
        assert asking.claim("a", 1).state is State.MINE
        assert asking.claim("b", LEASE_S + 0.5).state is State.RUNNING

    def test_a_claim_whose_owner_is_gone_is_taken_over_and_the_former_owner_cannot_begin(
        self, asking: Asking
    ) -> None:
        asking.claim("a", 0, "old")
        assert asking.claim("b", LEASE_S - 0.01).state is State.RUNNING
        assert asking.claim("b", LEASE_S + 0.01).state is State.MINE
        for ask in (asking.begin, asking.finish, asking.release):
            assert ask("a", LEASE_S + 0.02) is State.LOST
        assert asking.renew("a", LEASE_S + 0.02, begun=False) is State.LOST
        assert asking.begin("b", LEASE_S + 0.03) is State.MINE
        assert asking.claim("c", LEASE_S + 0.04) == Verdict(State.RUNNING, "f")

    def test_what_has_begun_is_never_taken_over(self, asking: Asking) -> None:
        asking.claim("a", 0)
        asking.begin("a", 0)
        assert asking.claim("b", LEASE_S + 0.01) == Verdict(State.UNKNOWN, "f")
        assert asking.begin("b", LEASE_S + 0.01) is State.LOST
        assert asking.claim("c", KEEP_S - 1) == Verdict(State.UNKNOWN, "f")

    def test_nor_is_it_claimed_again_by_its_owner(self, asking: Asking) -> None:
        asking.claim("a", 0)
        asking.begin("a", 0)
        assert asking.claim("a", 1).state is State.RUNNING
        assert asking.claim("a", LEASE_S + 1).state is State.UNKNOWN

    def test_who_is_heard_of_is_there(self, asking: Asking) -> None:
        asking.claim("a", 0)
        assert asking.renew("a", 4, begun=False) is State.MINE
        assert asking.claim("b", LEASE_S + 1).state is State.RUNNING
        asking.begin("a", LEASE_S + 2)
        assert asking.renew("a", LEASE_S + 6, begun=True) is State.MINE
        assert asking.claim("b", 2 * LEASE_S + 5).state is State.RUNNING

    def test_what_has_begun_stays_begun_whatever_an_old_message_says(self, asking: Asking) -> None:
        asking.claim("a", 0)
        asking.begin("a", 0)
        assert asking.renew("a", 1, begun=False) is State.MINE
        assert asking.claim("b", LEASE_S + 1.5).state is State.UNKNOWN

    def test_an_owner_that_comes_back_late_brings_the_answer(self, asking: Asking) -> None:
        asking.claim("a", 0)
        asking.begin("a", 0)
        assert asking.claim("b", 10).state is State.UNKNOWN
        assert asking.finish("a", 20) is State.MINE
        assert asking.claim("b", 21) == Verdict(State.DONE, "f", b"answer")

    def test_a_released_key_is_free(self, asking: Asking) -> None:
        asking.claim("a", 0)
        assert asking.release("a", 0) is State.MINE
        assert asking.claim("b", 0).state is State.MINE

    def test_one_that_has_begun_can_be_released_by_who_knows_that_nothing_was_sent(
        self, asking: Asking
    ) -> None:
        asking.claim("a", 0)
        asking.begin("a", 0)
        assert asking.release("b", 0) is State.LOST
        assert asking.release("a", LEASE_S + 1) is State.MINE
        assert asking.claim("b", LEASE_S + 1).state is State.MINE

    def test_what_is_done_stays_done(self, asking: Asking) -> None:
        asking.claim("a", 0)
        asking.begin("a", 0)
        asking.finish("a", 1)
        assert asking.finish("b", 1, b"other") is State.LOST
        for ask in (asking.begin, asking.release):
            assert ask("a", 2) is State.LOST
        assert asking.renew("a", 2, begun=True) is State.LOST
        assert asking.claim("a", 3) == Verdict(State.DONE, "f", b"answer")

    def test_an_answer_of_any_bytes(self, asking: Asking) -> None:
        answer = bytes(range(256)) * 10
        asking.claim("a", 0)
        asking.begin("a", 0)
        asking.finish("a", 1, answer)
        assert asking.claim("b", 1).answer == answer

    def test_messages_that_come_too_late_make_no_key(self, asking: Asking) -> None:
        """A claim was released; what its owner sent before arrives after."""
        asking.claim("a", 0)
        asking.release("a", 0)
        assert asking.begin("a", 1) is State.LOST
        assert asking.renew("a", 1, begun=True) is State.LOST
        assert asking.claim("b", 1).state is State.MINE

    def test_a_store_that_has_forgotten_waits_for_owners_to_tell(self, make_store: MakeStore) -> None:
        asking = Asking(make_store(START))
        assert asking.claim("b", 1).state is State.YOUNG
        assert asking.renew("a", 2, begun=True) is State.MINE
        assert asking.claim("b", 3) == Verdict(State.RUNNING, "f")
        assert asking.finish("a", 4) is State.MINE
        assert asking.claim("b", 5).state is State.DONE

    def test_and_then_gives_out_what_nobody_told_of(self, make_store: MakeStore) -> None:
        asking = Asking(make_store(START))
        assert asking.claim("b", HOLD_S - 0.01).state is State.YOUNG
        assert asking.claim("b", HOLD_S + 0.01).state is State.MINE

    def test_a_claim_that_was_forgotten_cannot_begin(self, make_store: MakeStore) -> None:
        """Somebody else may have begun meanwhile."""
        asking = Asking(make_store(START))
        assert asking.begin("a", 1) is State.LOST

    def test_an_answer_is_taken_by_a_store_that_has_forgotten(self, make_store: MakeStore) -> None:
        asking = Asking(make_store(START))
        assert asking.finish("a", 1) is State.MINE
        assert asking.claim("b", 2).state is State.DONE
