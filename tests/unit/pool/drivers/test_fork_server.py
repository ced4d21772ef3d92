"""When a fork server that has died is started again; the rest is in tests/integration/pool."""

from pool.drivers.fork_server import LONGEST_WAIT_S, wait_s


def test_one_that_was_of_use_is_started_again_at_once() -> None:
    assert wait_s(1) == 0


def test_one_that_dies_again_and_again_is_started_ever_more_rarely() -> None:
    waits = [wait_s(failures) for failures in range(2, 12)]
    assert waits[:3] == [0.5, 1, 2]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT_S == wait_s(1_000_000)
