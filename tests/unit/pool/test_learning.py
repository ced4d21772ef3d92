"""What a function's gaps and minutes say of its next call."""

import sys
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.learning import (
    BELIEF_S,
    BINS,
    FEWEST_GAPS,
    KEEP_LEAST_S,
    LONGEST_S,
    MOST_GAPS,
    MOST_STOPPED,
    Arrivals,
    bin_of,
    middle_of,
)

FIXED_S = 60.0
HOUR_S = 3600.0


def called_at(times: list[float]) -> Arrivals:
    """One instance, always there: each call follows the last one."""
    arrivals = Arrivals()
    last = None
    for now in times:
        arrivals.called(now, last)
        last = now
    return arrivals


def every(period_s: float, calls: int) -> list[float]:
    return [number * period_s for number in range(calls)]


def test_without_calls_the_fixed_time_holds() -> None:
    assert Arrivals().keep_alive_s(FIXED_S) == FIXED_S
    assert Arrivals().expected(0.0, FIXED_S, 0.0) is None


def test_with_few_gaps_the_fixed_time_holds() -> None:
    arrivals = called_at(every(600, FEWEST_GAPS))
    assert arrivals.keep_alive_s(FIXED_S) == FIXED_S
    assert arrivals.expected(3600, FIXED_S, 3600) is None


@pytest.mark.parametrize("period_s", [90.0, 600.0, 1800.0])
def test_a_regular_function_is_made_ready_before_its_next_call(period_s: float) -> None:
    times = every(period_s, 20)
    arrivals = called_at(times)
    keep_s = arrivals.keep_alive_s(FIXED_S)
    window = arrivals.expected(times[-1], FIXED_S, times[-1] + keep_s)
    if window is None:
        assert keep_s > period_s
    else:
        assert keep_s < period_s
        assert times[-1] + keep_s < window.begin <= times[-1] + period_s <= window.end


def test_a_window_that_is_over_is_none() -> None:
    arrivals = called_at(every(600, 20))
    window = arrivals.expected(11_400, FIXED_S, 11_500)
    assert window is not None
    assert arrivals.expected(11_400, FIXED_S, window.end) is None


def test_short_gaps_make_the_keep_alive_short() -> None:
    arrivals = called_at(every(6, 100))
    assert KEEP_LEAST_S <= arrivals.keep_alive_s(FIXED_S) < FIXED_S / 2


def test_gaps_a_little_longer_than_the_fixed_time_are_worth_waiting_for() -> None:
    arrivals = called_at(every(70, 50))
    keep_s = arrivals.keep_alive_s(FIXED_S)
    assert keep_s > 70 or arrivals.expected(3430, FIXED_S, 3430 + keep_s) is not None


def test_a_call_every_day_is_not_worth_an_instance() -> None:
    arrivals = called_at([number * 86_400 * (1 + number % 3 / 3) for number in range(20)])
    assert arrivals.keep_alive_s(FIXED_S) <= FIXED_S


def test_a_start_learns_from_the_instance_that_was_stopped_last() -> None:
    arrivals = Arrivals()
    now = 0.0
    for _ in range(20):
        arrivals.called(now)
        arrivals.stopped(now)
        now += 100
    assert arrivals.keep_alive_s(FIXED_S) > 100 or arrivals.expected(now - 100, FIXED_S, now - 50) is not None


def test_a_peak_is_no_gap() -> None:
    """Calls beside each other, each with an instance that no call had before."""
    arrivals = Arrivals()
    for number in range(100):
        arrivals.called(number * 2.0)
    assert arrivals.keep_alive_s(FIXED_S) == FIXED_S


MINUTES = (3, 17, 41)


def at_minutes(hours: int) -> list[float]:
    return [hour * HOUR_S + minute * 60 + 7 for hour in range(hours) for minute in MINUTES]


def test_regular_minutes_of_the_hour_are_expected() -> None:
    times = at_minutes(30)
    arrivals = called_at(times)
    last = times[-1]
    window = arrivals.expected(last, FIXED_S, last + arrivals.keep_alive_s(FIXED_S))
    assert window is not None
    assert window.begin <= 30 * HOUR_S + 3 * 60 + 7 <= window.end


def test_a_function_that_is_not_called_any_more_is_not_made_ready() -> None:
    times = at_minutes(30)
    arrivals = called_at(times)
    assert arrivals.expected(times[-1], FIXED_S, times[-1] + 2 * BELIEF_S) is None


def test_bins_cover_all_lengths() -> None:
    assert bin_of(1.0) == 0
    assert bin_of(LONGEST_S * 10) == BINS
    assert middle_of(BINS) == inf


@given(st.floats(1.0, LONGEST_S))
def test_a_gap_is_known_to_ten_percent(gap_s: float) -> None:
    place = bin_of(gap_s)
    assert 0 <= place < BINS or gap_s >= LONGEST_S * 0.99
    if place < BINS:
        assert abs(middle_of(place) / gap_s - 1) < 0.1


events = st.lists(
    st.tuples(st.sampled_from(["called", "missed", "stopped"]), st.floats(0, 100_000)), max_size=60
)


@given(events, st.floats(0.1, 86_400))
def test_whatever_comes_the_answer_is_in_bounds(said: list[tuple[str, float]], fixed_s: float) -> None:
    arrivals, now, last = Arrivals(), 0.0, 0.0
    for kind, gap_s in said:
        now += gap_s
        match kind:
            case "called":
                arrivals.called(now, last)
                last = now
            case "missed":
                arrivals.called(now)
                last = now
            case _:
                arrivals.stopped(last)
        assert min(fixed_s, KEEP_LEAST_S) <= arrivals.keep_alive_s(fixed_s) <= max(2 * LONGEST_S, fixed_s)
        window = arrivals.expected(last, fixed_s, now)
        assert window is None or (last < window.begin < window.end and now < window.end)


def test_its_memory_is_bounded() -> None:
    """About 1 KB a function, however many calls there were."""
    arrivals = Arrivals()
    for number in range(5 * MOST_GAPS):
        arrivals.called(number * 100.0, number * 100.0 - 7)
        arrivals.stopped(number * 100.0)
    arrivals.keep_alive_s(FIXED_S)
    assert len(arrivals._stopped) <= MOST_STOPPED
    assert arrivals._known <= MOST_GAPS
    assert arrivals._minutes is not None and arrivals._gaps is not None
    parts = [
        arrivals,
        arrivals._gaps,
        arrivals._stopped,
        arrivals._minutes,
        arrivals._minutes._hits,
        arrivals._plan,
    ]
    assert sum(map(sys.getsizeof, parts)) <= 1024
