"""Cron expressions: which minutes match, and what is said of a wrong one."""

from datetime import datetime, timedelta

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given
from hypothesis import strategies as st

from plat.cron import fault_of, matches

FRIDAY = datetime(2026, 1, 2, 12, 30, 45, 999)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", True),
        ("30 12 2 1 5", True),
        ("*/15 8-17 * * mon-fri", True),
        ("* * * JAN fri", True),
        ("* * 9 * 5", True),  # a day of the month or one of the week, where neither is a star
        ("29 * * * *", False),
        ("* 8-11 * * *", False),
        ("* * * 2-12 *", False),
        ("* * 3 * *", False),
        ("* * * * sat,sun", False),
        ("* * L * *", False),
    ],
)
def test_a_minute_matches_or_not_whatever_its_second(expression: str, expected: bool) -> None:
    assert matches(expression, FRIDAY) is expected


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("60 * * * *", "its minute is 60: expected 0 to 59"),
        ("* 25 * * *", "its hour is 25: expected 0 to 23"),
        ("* * 0 * *", "its day-of-month is 0: expected 1 to 31 or L"),
        (
            "* * 31 2 *",
            "its day-of-month is 31: expected 1 to 31 or L, the last, in a month that",
        ),
        ("* * * 13 *", "its month is 13: expected 1 to 12 or jan to dec"),
        ("* * * * 8", "its day-of-week is 8: expected 0 to 7 or sun to sat"),
        ("* * * * fri-mon", "its day-of-week is fri-mon"),
        ("*/0 * * * *", "its minute is */0"),
        ("5-1 * * * *", "its minute is 5-1"),
        ("* * * *", "expected five fields: minute hour day-of-month month day-of-week"),
        ("0 * * * * *", "expected five fields"),
        ("@daily", "expected five fields"),
        ("", "expected five fields"),
    ],
)
def test_a_wrong_one_is_told_its_field_and_value(expression: str, said: str) -> None:
    fault = fault_of(expression)
    assert fault is not None
    assert fault.startswith(said)


def test_what_is_no_expression_cannot_be_asked() -> None:
    with pytest.raises(ValueError, match="is no cron expression: Bad hour"):
        matches("* 25 * * *", FRIDAY)


FIELD = st.text("0123456789*,/-#LWMONSUJA", min_size=1, max_size=6)


@given(st.lists(FIELD, min_size=5, max_size=5).map(" ".join))
def test_whatever_is_written_there_is_an_answer(expression: str) -> None:
    if fault_of(expression) is None:
        assert matches(expression, FRIDAY) in (True, False)


def one_of_or_more(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high).map(str)
    spans = st.tuples(st.integers(low, high), st.integers(low, high)).map(sorted)
    ranges = spans.map(lambda pair: f"{pair[0]}-{pair[1]}")
    steps = st.builds("{}/{}".format, st.just("*") | ranges, st.integers(1, 7))
    return st.lists(st.just("*") | number | ranges | steps, min_size=1, max_size=3).map(",".join)


@given(
    st.tuples(
        one_of_or_more(0, 59),
        one_of_or_more(0, 23),
        one_of_or_more(1, 31) | st.just("L"),
        one_of_or_more(1, 12),
        one_of_or_more(0, 7) | st.sampled_from(["mon#1", "5L", "sun"]),
    ).map(" ".join),
    st.datetimes(datetime(2024, 1, 1), datetime(2029, 1, 1)),
)
def test_it_agrees_with_the_library_s_own_next_minute(expression: str, when: datetime) -> None:
    """We look at what the library has parsed: this holds it to what the library then does with it."""
    minute = when.replace(second=0, microsecond=0)
    try:
        following = next(CronSim(expression, minute - timedelta(minutes=1)))
    except CronSimError:
        assert fault_of(expression) is not None
    else:
        assert matches(expression, when) is (following == minute)
