"""What is kept and made ready ahead, and for whom nothing is learned."""

import pytest

from plat.feed import FunctionEntry
from pool.expectations import LEARNED_FROM_S, Expectations
from tests.unit.pool.rig import function

F = function("f", idle_s=60.0)
QUICK = function("f", idle_s=LEARNED_FROM_S - 1)
GAP_S = 300.0


def after_regular_calls(entry: FunctionEntry, *, learned: bool = True) -> tuple[Expectations, float]:
    """A call every five minutes, long after the last one's instance was stopped; and the last one's time."""
    expectations, now = Expectations(learned=learned), 1000.0
    for _ in range(30):
        now += GAP_S
        expectations.used(entry.name, None, now)
        expectations.stopped(entry, now, now + 60)
    return expectations, now


def test_what_comes_regularly_is_made_ready_ahead() -> None:
    expectations, last = after_regular_calls(F)
    assert expectations.due(last + 60) == []
    assert expectations.due(last + GAP_S * 0.99) == ["f"]
    assert expectations.due(last + GAP_S * 0.99) == []
    assert expectations.is_expected("f", last + GAP_S)
    assert not expectations.is_expected("f", last + 2 * GAP_S)


def test_it_does_not_idle_meanwhile() -> None:
    expectations, _ = after_regular_calls(F)
    assert expectations.idle_s(F) < 60


def test_once_it_is_called_nothing_more_is_expected() -> None:
    expectations, last = after_regular_calls(F)
    expectations.due(last + GAP_S)
    expectations.used("f", last + GAP_S * 0.95, last + GAP_S)
    assert not expectations.is_expected("f", last + GAP_S)


@pytest.mark.parametrize(("entry", "learned"), [(F, False), (QUICK, True)])
def test_where_nothing_is_learned_the_fixed_time_holds(entry: FunctionEntry, learned: bool) -> None:
    expectations, last = after_regular_calls(entry, learned=learned)
    assert expectations.idle_s(entry) == entry.idle_s
    assert expectations.due(last + GAP_S) == []


def test_a_function_that_was_never_called() -> None:
    expectations = Expectations(learned=True)
    assert expectations.idle_s(F) == 60
    expectations.stopped(F, 1000.0, 1060.0)
    assert expectations.due(1e9) == []


def test_a_function_that_is_gone_is_forgotten() -> None:
    expectations, last = after_regular_calls(F)
    expectations.forget("f")
    assert expectations.due(last + GAP_S) == []
    assert expectations.idle_s(F) == 60
