"""Who keeps the rate is never too slow; who does not is, after a time that can be told beforehand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.pace import LONGEST_PAUSE_S, LeastRate, Pace

RULE = LeastRate(8192, 10)

rules = st.builds(LeastRate, st.floats(1, 1e9), st.floats(0.01, 300))
waits = st.lists(st.tuples(st.integers(0, 2**20), st.floats(0, 1)), max_size=60)
"""Bytes that come at once, and the part of its patience that the client has used up until then."""


def a_client(rule: LeastRate, sends: list[tuple[int, float]]) -> Pace:
    """One that always sends in time."""
    pace = Pace(rule)
    for count, part in sends:
        pace.came(count, pace.patience_s * part)
    return pace


@given(rules, waits)
def test_all_it_gets_is_the_grace_and_the_time_of_its_bytes(
    rule: LeastRate, sends: list[tuple[int, float]]
) -> None:
    pace = a_client(rule, sends)
    bound = rule.grace_s + pace.received / rule.bytes_per_s
    assert pace.waited_s + pace.patience_s <= bound * (1 + 1e-9) + 1e-9


@given(rules, waits)
def test_no_pause_is_longer_than_the_longest(rule: LeastRate, sends: list[tuple[int, float]]) -> None:
    assert a_client(rule, sends).patience_s <= max(rule.grace_s, LONGEST_PAUSE_S)


@given(rules, st.lists(st.floats(0, 1), max_size=60), st.floats(1, 100))
def test_who_keeps_the_rate_is_never_too_slow(rule: LeastRate, parts: list[float], faster: float) -> None:
    """However long it takes, if no wait is longer than the grace."""
    pace = Pace(rule)
    for part in parts:
        waited_s = rule.grace_s * part * 0.999
        assert waited_s < pace.patience_s
        pace.came(int(waited_s * rule.bytes_per_s * faster) + 1, waited_s)


@given(rules, waits, st.floats(0, 0.9), st.integers(1, 20))
def test_who_falls_below_the_rate_is_too_slow_some_time(
    rule: LeastRate, sends: list[tuple[int, float]], part: float, steps: int
) -> None:
    """Whatever it has sent before."""
    pace = a_client(rule, sends)
    step_s = pace.patience_s / steps
    for _ in range(int(steps / (1 - part)) + 2):
        pace.came(int(step_s * rule.bytes_per_s * part), step_s)
    assert pace.patience_s <= 0


def test_a_byte_buys_no_second() -> None:
    pace = Pace(RULE)
    pace.came(1, 9.9)
    assert pace.patience_s < 0.2


def test_bytes_that_wait_already_buy_time() -> None:
    """While an instance reads slowly, the client is held back: nothing of that is the client's time."""
    pace = Pace(RULE)
    for _ in range(5):
        pace.came(8192, 0.0)
    assert (pace.received, pace.waited_s, pace.patience_s) == (40_960, 0.0, 15.0)


def test_a_grace_above_the_longest_pause_is_kept() -> None:
    pace = Pace(LeastRate(8192, 100))
    pace.came(8192, 10.0)
    assert pace.patience_s == 91.0


@pytest.mark.parametrize("count", [0, 1])
def test_at_the_end_of_its_time_only_a_byte_helps(count: int) -> None:
    pace = Pace(RULE)
    pace.came(count, 10.0)
    assert (pace.patience_s > 0) is bool(count)


def test_what_a_slow_client_is_told() -> None:
    pace = Pace(RULE)
    pace.came(3, 10.04)
    assert pace.complaint() == (
        "The body came too slowly: 3 bytes in 10.0 s. It has 10 s and one more for every 8192 bytes, "
        "and no pause may be longer than 60 s."
    )
