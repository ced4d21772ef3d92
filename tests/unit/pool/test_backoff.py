"""When a version that does not start is tried again."""

from plat.errors import PlatError
from pool.backoff import FIRST_S, LONGEST_S, Backoff

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
