"""Token buckets: never more than the limit in any window, nothing refused at the rate itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.limits import Limiter, TokenBucket

START = 1_000_000.0
"""A monotonic clock that has run for days: where floats are coarse."""


@given(
    st.floats(0.01, 10_000),
    st.integers(1, 50),
    st.lists(st.floats(0, 3), min_size=1, max_size=80),
)
def test_never_more_than_the_limit_in_any_window(rate: float, burst: int, gaps: list[float]) -> None:
    bucket, now, admitted = TokenBucket(rate, burst), START, []
    for gap in gaps:
        now += gap / rate
        if bucket.take(now) == 0:
            admitted.append(now)
    for first, begin in enumerate(admitted):
        for last in range(first, len(admitted)):
            window_s = admitted[last] - begin
            assert last - first + 1 <= rate * window_s + burst + 1e-3


@given(st.floats(0.01, 10_000), st.integers(1, 50), st.integers(1, 300))
def test_at_exactly_the_rate_nothing_is_refused(rate: float, burst: int, calls: int) -> None:
    bucket = TokenBucket(rate, burst)
    assert all(bucket.take(START + number / rate) == 0 for number in range(calls))


@given(st.floats(0.01, 10_000), st.integers(1, 50))
def test_a_full_bucket_admits_the_burst_and_no_more(rate: float, burst: int) -> None:
    bucket = TokenBucket(rate, burst)
    assert [bucket.take(START) == 0 for _ in range(burst + 2)] == [True] * burst + [False, False]


@given(st.floats(0.01, 1000), st.integers(1, 20), st.integers(0, 5))
def test_the_wait_it_tells_is_long_enough_and_not_longer(rate: float, burst: int, refused: int) -> None:
    bucket = TokenBucket(rate, burst)
    for _ in range(burst):
        bucket.take(START)
    for _ in range(refused):
        assert bucket.take(START) > 0
    wait_s = bucket.take(START)
    assert 0 < wait_s <= 1 / rate + 1e-6
    assert bucket.take(START + wait_s / 2) > 0
    assert bucket.take(START + wait_s + 1e-6) == 0


def test_a_refused_call_takes_no_token() -> None:
    bucket = TokenBucket(1, 1)
    assert bucket.take(0) == 0
    for _ in range(1000):
        assert bucket.take(0.5) == pytest.approx(0.5)
    assert bucket.take(1) == 0


def test_a_clock_that_stands_still_or_goes_back_admits_nothing_extra() -> None:
    bucket = TokenBucket(10, 2)
    assert [bucket.take(now) == 0 for now in (5.0, 4.0, 5.0, 3.0)] == [True, True, False, False]


# --- all functions


def admitted(limiter: Limiter, name: str, rate: float, burst: int | None) -> int:
    return sum(limiter.take(name, rate, burst, START) == 0 for _ in range(1000))


@pytest.mark.parametrize(
    ("routers", "rate", "burst", "at_once"),
    [
        (1, 10.0, 5, 5),
        (1, 10.0, None, 10),
        (1, 0.1, None, 1),
        (2, 10.0, 6, 3),
        (4, 10.0, 6, 1),
        (8, 10.0, 2, 1),
    ],
)
def test_each_router_admits_its_share(routers: int, rate: float, burst: int | None, at_once: int) -> None:
    assert admitted(Limiter(routers), "f", rate, burst) == at_once


def test_functions_do_not_share_a_bucket() -> None:
    limiter = Limiter(1)
    assert admitted(limiter, "f", 1.0, 2) == 2
    assert admitted(limiter, "g", 1.0, 2) == 2


def test_a_changed_limit_takes_effect_and_an_unchanged_one_goes_on() -> None:
    limiter = Limiter(1)
    assert admitted(limiter, "f", 1.0, 2) == 2
    assert admitted(limiter, "f", 1.0, 2) == 0
    assert admitted(limiter, "f", 1.0, 3) == 3


def test_buckets_of_functions_that_are_gone_are_forgotten() -> None:
    limiter = Limiter(1)
    for name in ("f", "g"):
        admitted(limiter, name, 1.0, 2)
    limiter.keep(lambda name: name == "f")
    assert admitted(limiter, "f", 1.0, 2) == 0
    assert admitted(limiter, "g", 1.0, 2) == 2
