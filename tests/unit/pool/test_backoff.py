"""When a version that does not start is tried again."""

import pytest

from plat.errors import PlatError
from pool.backoff import (
    DEATHS_FREE,
    FIRST_S,
    LONGEST_AFTER_DEATH_S,
    LONGEST_S,
    SHORT_LIFE_S,
    Backoff,
)

ERROR = PlatError("instance_start_failed", "no")
ENGINE = PlatError("engine_unavailable", "no answer")


def test_a_version_that_never_failed() -> None:
    backoff = Backoff()
    assert backoff.failure_count("v") == 0
    assert backoff.retry_at("v") == float("-inf")
    assert backoff.blocked("v", 0) is None


def test_waits_double_up_to_half_a_minute() -> None:
    backoff, waits = Backoff(), []
    for _ in range(12):
        backoff.failed("v", 100.0, ERROR)
        waits.append(backoff.retry_at("v") - 100.0)
    assert waits[:4] == [FIRST_S, 1.0, 2.0, 4.0]
    assert waits[-1] == LONGEST_S
    assert waits == sorted(waits)


def test_thousands_of_failures_are_no_overflow() -> None:
    backoff = Backoff()
    for _ in range(3000):
        backoff.failed("v", 0.0, ERROR)
    assert backoff.retry_at("v") == LONGEST_S


def test_blocked_until_its_time_with_the_last_error() -> None:
    backoff = Backoff()
    backoff.failed("v", 100.0, ENGINE)
    backoff.failed("v", 100.0, ERROR)
    assert backoff.blocked("v", 100.0 + 2 * FIRST_S - 0.01) is ERROR
    assert backoff.blocked("v", 100.0 + 2 * FIRST_S) is None
    assert backoff.blocked("other", 100.0) is None


def test_a_success_forgets_everything() -> None:
    backoff = Backoff()
    backoff.failed("v", 100.0, ERROR)
    backoff.succeeded("v")
    backoff.succeeded("v")
    assert backoff.failure_count("v") == 0
    backoff.failed("v", 100.0, ERROR)
    assert backoff.retry_at("v") == 100.0 + FIRST_S


def test_a_cause_that_is_over_is_forgotten_alone() -> None:
    backoff = Backoff()
    backoff.failed("v", 100.0, ENGINE)
    backoff.failed("w", 100.0, ERROR)
    backoff.forget_code("engine_unavailable")
    assert backoff.blocked("v", 100.0) is None
    assert backoff.blocked("w", 100.0) is ERROR


def test_an_instance_may_crash_at_times() -> None:
    backoff = Backoff()
    for _ in range(DEATHS_FREE):
        backoff.died("v", 1.0, 100.0)
    assert backoff.retry_at("v") <= 100.0


def test_many_short_lives_in_a_row_make_the_next_wait_a_little_longer() -> None:
    backoff, waits = Backoff(), []
    for _ in range(50):
        backoff.died("v", 1.0, 100.0)
        waits.append(backoff.retry_at("v") - 100.0)
    assert waits == sorted(waits)
    assert waits[DEATHS_FREE] == pytest.approx(0.2)
    assert waits[-1] == LONGEST_AFTER_DEATH_S
    assert backoff.blocked("v", 100.0) is None, "nobody who waits is failed for it"


def test_a_long_life_ends_it() -> None:
    backoff = Backoff()
    for _ in range(10):
        backoff.died("v", 1.0, 100.0)
    backoff.died("v", SHORT_LIFE_S, 100.0)
    assert backoff.retry_at("v") == float("-inf")


def test_a_version_that_is_gone_is_forgotten() -> None:
    backoff = Backoff()
    backoff.failed("v", 100.0, ERROR)
    for _ in range(10):
        backoff.died("v", 1.0, 100.0)
    backoff.keep({"v"})
    assert backoff.retry_at("v") > 100.0
    backoff.keep({"other"})
    assert backoff.retry_at("v") == float("-inf")
