"""What the engine says of a container that has ended."""

from typing import Any

import pytest

from pool.drivers import exits
from pool.drivers.docker_cause import cause_in, looks_killed


def state(code: int, *, running: bool = False, out_of_memory: bool = False) -> Any:
    return {
        "State": {"ExitCode": code, "Running": running, "OOMKilled": out_of_memory},
        "HostConfig": {"Memory": 64 << 20},
    }


def test_one_that_runs_has_no_cause() -> None:
    assert cause_in(state(0, running=True), out_of_memory=False) is None


def test_a_status_and_a_signal() -> None:
    assert cause_in(state(3), out_of_memory=False) == exits.exited(3)
    assert cause_in(state(137), out_of_memory=False) == exits.signalled(9)


@pytest.mark.parametrize(("told", "in_state"), [(True, False), (False, True)])
def test_memory_that_ran_out_is_told_by_an_event_or_by_the_state(told: bool, in_state: bool) -> None:
    found = cause_in(state(137, out_of_memory=in_state), out_of_memory=told)
    assert found == exits.killed_for_memory(64)


def test_one_that_was_killed_may_have_lacked_memory() -> None:
    assert looks_killed(state(137))
    assert not looks_killed(state(137, out_of_memory=True))
    assert not looks_killed(state(1))
