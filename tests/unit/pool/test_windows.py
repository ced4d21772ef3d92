"""The minimum by the clock."""

from datetime import datetime

import msgspec
import pytest

from plat.feed import FunctionEntry
from plat.model import Window
from pool.windows import Minimums, minimum

OFFICE = Window("* 8-17 * * mon-fri", 2)
LUNCH = Window("30-59 12 * * *", 5)
FRIDAY = datetime(2026, 1, 2)


def at(hour: int, minute: int, second: int = 0) -> datetime:
    return FRIDAY.replace(hour=hour, minute=minute, second=second)


def function(*windows: Window, least: int = 1) -> FunctionEntry:
    return FunctionEntry("hello", 1, False, "public", least, 20, 60.0, None, None, (), None, windows)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (at(7, 59, 59), 1),
        (at(8, 0), 2),
        (at(12, 29, 59), 2),
        (at(12, 30), 5),
        (at(12, 59, 59), 5),
        (at(13, 0), 2),
        (at(17, 59, 59), 2),
        (at(18, 0), 1),
        (FRIDAY.replace(day=3, hour=12, minute=30), 5),
        (FRIDAY.replace(day=3, hour=12, minute=29), 1),
    ],
)
def test_the_greatest_of_those_that_are_open(when: datetime, expected: int) -> None:
    assert minimum(1, [OFFICE, LUNCH], when) == expected


def test_a_window_never_lowers_the_function_s_own() -> None:
    assert minimum(3, [OFFICE], at(12, 0)) == 3
    assert minimum(0, [], at(12, 0)) == 0


def test_it_changes_with_the_minute_and_not_before() -> None:
    minimums, entry = Minimums(), function(OFFICE)
    assert [minimums.of(entry, at(*each)) for each in ((7, 59, 0), (7, 59, 59), (8, 0, 0), (18, 0, 0))] == [
        1, 1, 2, 1,
    ]  # fmt: skip


def test_the_same_minute_of_another_day_is_another_minute() -> None:
    minimums, entry = Minimums(), function(OFFICE)
    assert minimums.of(entry, at(12, 0)) == 2
    assert minimums.of(entry, FRIDAY.replace(day=3, hour=12)) == 1


def test_a_change_of_the_function_counts_at_once() -> None:
    minimums = Minimums()
    assert minimums.of(function(OFFICE), at(12, 0)) == 2
    assert minimums.of(function(msgspec.structs.replace(OFFICE, min=7)), at(12, 0)) == 7
    assert minimums.of(function(least=3), at(12, 0)) == 3


def test_functions_are_told_apart() -> None:
    minimums = Minimums()
    other = msgspec.structs.replace(function(LUNCH), name="other")
    assert [minimums.of(each, at(12, 30)) for each in (function(OFFICE), other)] == [2, 5]
