"""The reference keeps the contract, in memory that has a bound."""

import pytest

from plat.idempotency import LEASE_S, OVERHEAD_BYTES, Begin, Claim, Finish, Records, Renew, State
from tests.unit.plat.idempotency_contract import (
    KEEP_S,
    LONG_S,
    START,
    Asking,
    IdempotencyContract,
    MakeStore,
)


class TestRecords(IdempotencyContract):
    @pytest.fixture
    def make_store(self) -> MakeStore:
        return lambda since: Records(since, 1_000_000)


def done(records: Records, key: str, at: float, size: int = 0) -> None:
    records.answer(Claim(key, "t", "f"), at)
    records.answer(Begin(key, "t", KEEP_S), at)
    assert records.answer(Finish(key, "t", "f", b"x" * size, KEEP_S), at).state is State.MINE


def state(records: Records, key: str, at: float) -> State:
    return records.answer(Claim(key, "other", "f"), at).state


def test_a_key_is_forgotten_when_its_time_is_over() -> None:
    asking = Asking(Records(START - LONG_S, 1000))
    asking.claim("a", 0)
    asking.begin("a", 0)
    asking.finish("a", 10)
    assert asking.claim("b", 10 + KEEP_S - 1).state is State.DONE
    assert asking.claim("b", 10 + KEEP_S + 1).state is State.MINE


def test_one_of_unknown_outcome_too() -> None:
    asking = Asking(Records(START - LONG_S, 1000))
    asking.claim("a", 0)
    asking.begin("a", 0)
    assert asking.claim("b", KEEP_S - 1).state is State.UNKNOWN
    assert asking.claim("b", KEEP_S + 1).state is State.MINE


def test_those_used_least_lately_make_room() -> None:
    records = Records(START - LONG_S, 3 * (OVERHEAD_BYTES + 100))
    for key in "abc":
        done(records, key, START, 100)
    assert state(records, "a", START) is State.DONE
    done(records, "d", START, 100)
    assert (records.evicted, records.bytes) == (1, 3 * (OVERHEAD_BYTES + 100))
    assert state(records, "b", START) is State.MINE
    assert [state(records, key, START) for key in "acd"] == [State.DONE] * 3


def test_calls_in_flight_are_never_forgotten() -> None:
    records = Records(START - LONG_S, 1)
    for number in range(10):
        records.answer(Claim(f"claimed{number}", "t", "f"), START)
        records.answer(Claim(f"begun{number}", "t", "f"), START)
        records.answer(Begin(f"begun{number}", "t", KEEP_S), START)
        done(records, f"done{number}", START, 100)
    for number in range(10):
        assert state(records, f"claimed{number}", START) is State.RUNNING
        assert state(records, f"begun{number}", START) is State.RUNNING
    assert len(records) == 21


def test_what_is_over_is_swept_away() -> None:
    records = Records(START - LONG_S, 1_000_000)
    done(records, "done", START, 100)
    records.answer(Claim("claimed", "t", "f"), START)
    records.answer(Claim("begun", "t", "f"), START)
    records.answer(Begin("begun", "t", KEEP_S), START)
    records.sweep(START + LEASE_S)
    assert len(records) == 2
    assert records.bytes == 2 * OVERHEAD_BYTES + 100
    records.sweep(START + KEEP_S)
    assert (len(records), records.bytes) == (0, 0)


def test_an_owner_that_comes_back_is_in_flight_again() -> None:
    records = Records(START - LONG_S, 1)
    records.answer(Claim("k", "t", "f"), START)
    records.answer(Begin("k", "t", KEEP_S), START)
    records.sweep(START + LEASE_S)
    assert records.bytes == OVERHEAD_BYTES
    records.answer(Renew("k", "t", "f", True, KEEP_S), START + LEASE_S)
    assert records.bytes == 0
    assert state(records, "k", START + LEASE_S + 1) is State.RUNNING


def test_a_store_that_is_trusted_gives_out_keys_at_once() -> None:
    records = Records(START, 1000)
    assert state(records, "k", START) is State.YOUNG
    records.trust()
    assert state(records, "k", START) is State.MINE
