from array import array

import pytest

from bench.schedule import Recorder, Schedule, is_kept, percentile, percentiles_ms


def test_calls_are_due_at_constant_intervals() -> None:
    schedule = Schedule(rate=100, seconds=0.05, start=10.0)
    assert schedule.count == 5
    assert [schedule.due(now) for now in (9.9, 10.0, 10.009, 10.01, 10.049, 99.0)] == [0, 1, 1, 2, 5, 5]
    assert schedule.intended(3) == pytest.approx(10.03)


@pytest.mark.parametrize("rate", [3.0, 333.0, 5120.0, 12345.6])
def test_a_call_is_due_at_its_own_time(rate: float) -> None:
    schedule = Schedule(rate, 2.0, 1_000.0)
    assert all(schedule.due(schedule.intended(number)) == number + 1 for number in range(schedule.count))


def test_a_stall_is_in_the_latency_of_every_call_behind_it() -> None:
    recorder = Recorder()
    for number in range(10):
        intended = number * 0.1
        recorder.fired(intended, intended)
        recorder.answered(200, False, intended, max(intended, 1.0))
    outcome = recorder.outcome(10)
    assert outcome.latency_ms["max"] == pytest.approx(1000)
    assert outcome.latency_ms["p50"] == pytest.approx(500)


def test_unanswered_calls_count_with_the_time_they_waited() -> None:
    recorder = Recorder()
    recorder.fired(0.0, 0.0)
    recorder.gave_up(0.0, 5.0)
    outcome = recorder.outcome(1)
    assert outcome.unanswered == 1
    assert outcome.latency_ms["p99"] == pytest.approx(5000)


def test_refusals_are_apart_from_answers() -> None:
    recorder = Recorder(end=1.0)
    recorder.answered(200, False, 0.0, 0.5)
    recorder.answered(200, False, 0.0, 1.5)
    recorder.answered(429, True, 0.0, 0.001)
    recorder.answered(503, False, 0.0, 0.002)
    recorder.broke()
    outcome = recorder.outcome(5)
    assert outcome.statuses == {"200": 2, "429": 1, "503": 1}
    assert (outcome.in_time, outcome.retry_after, outcome.failed) == (1, 1, 1)
    assert outcome.refusal_ms["max"] == pytest.approx(2)
    assert outcome.latency_ms["max"] == pytest.approx(1500)


def test_a_generator_that_is_late_says_so() -> None:
    assert is_kept({"p99": 0.9}, {"p99": 0.1})
    assert is_kept({"p99": 4.0}, {"p99": 50.0})
    assert not is_kept({"p99": 4.0}, {"p99": 6.0})
    assert not is_kept({}, {})


def test_calls_that_were_never_started_void_the_schedule() -> None:
    recorder = Recorder()
    recorder.fired(0.0, 0.0)
    recorder.answered(200, False, 0.0, 0.1)
    assert recorder.outcome(1).kept
    assert not recorder.outcome(2).kept


def test_percentiles_are_samples_by_nearest_rank() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert percentile([1.0], 0.99) == 1.0
    assert percentiles_ms(array("d", [0.001 * n for n in range(1, 101)]))["p99"] == pytest.approx(99)
    assert percentiles_ms(array("d")) == {}
