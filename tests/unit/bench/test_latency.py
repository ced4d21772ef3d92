import statistics

import pytest

from bench.figures import Result
from bench.plan import FULL, QUICK
from bench.questions.latency import LENGTHS, P999_CALLS, SETTINGS, note, settings
from bench.schedule import Recorder


def noted(calls: int) -> Result:
    recorder = Recorder()
    for number in range(calls):
        recorder.fired(0.0, 0.0)
        recorder.answered(200, False, 0.0, number * 0.001)
    result = Result("latency", "")
    note(result, "case", "nginx", 100.0, recorder.outcome(calls))
    return result


def test_every_setting_is_measured_at_every_level() -> None:
    chosen, levels = settings(FULL)
    assert list(chosen) == list(SETTINGS)
    assert list(levels) == [0.2, 0.5, 0.7, 0.85]
    quick, two = settings(QUICK)
    assert {each.function for each in quick} == {"t90"}
    assert set(two) < set(levels)


def test_lengths_leave_the_budget_as_it_is() -> None:
    assert statistics.mean(LENGTHS.values()) == pytest.approx(1)


def test_p999_is_not_the_slowest_of_a_few() -> None:
    few, many = noted(P999_CALLS - 1), noted(P999_CALLS)
    assert few.median("case", "nginx", "p999_ms") is None
    assert few.median("case", "nginx", "p99_ms") is not None
    assert many.median("case", "nginx", "p999_ms") == pytest.approx(998)


def test_failed_calls_are_noted() -> None:
    result = Result("latency", "")
    recorder = Recorder()
    recorder.fired(0.0, 0.0)
    recorder.broke()
    note(result, "case", "nginx", 100.0, recorder.outcome(1))
    assert result.rows[0].notes == ["1 of 1 calls failed in a run"]
