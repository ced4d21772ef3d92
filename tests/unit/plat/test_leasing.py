"""Leases never add up to more than the limit, whoever dies and whatever gets lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plat.leasing import Buckets, local_share
from tests.unit.plat.leasing_contract import (
    LONG_S,
    START,
    Asking,
    LeasingContract,
    MakeStore,
    Step,
    World,
    an_ask,
    scripts,
)


class TestReference(LeasingContract):
    @pytest.fixture
    def make_store(self) -> MakeStore:
        return Buckets


@settings(max_examples=100, deadline=None)
@given(scripts, st.sampled_from([0.3, 2.0, 20.0]), st.integers(1, 12))
def test_never_more_than_the_limit_in_any_window(script: list[Step], rate: float, burst: int) -> None:
    world = World(Buckets(START - LONG_S / 2), rate, burst)
    world.play(script)
    world.check()


def test_a_store_that_remembers_for_ever_has_forgotten_nothing() -> None:
    assert Asking(Buckets(float("-inf")))("a", an_ask(want=1), 0.1).lease == 1


def test_a_full_bucket_is_forgotten_and_no_other() -> None:
    buckets = Buckets(START - LONG_S / 2)
    asking = Asking(buckets)
    asking("a", an_ask(rate=1, burst=8, want=4), 0)
    buckets.sweep(START + 3.9)
    assert len(buckets) == 1
    buckets.sweep(START + 100)
    assert len(buckets) == 0


@given(st.integers(0, 1000), st.integers(1, 9), st.integers(0, 10**9))
def test_shares_add_up_to_the_whole(amount: int, parts: int, offset: int) -> None:
    shares = [local_share(amount, part, parts, offset) for part in range(parts)]
    assert sum(shares) == amount
    assert max(shares) - min(shares) <= 1
