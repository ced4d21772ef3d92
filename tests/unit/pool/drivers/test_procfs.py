"""Reading /proc, of which this very process is the example."""

import os
import signal

import pytest

from pool.drivers import procfs


@pytest.mark.parametrize(
    "name", ["python", "a b", "x) S 1 2 3 (y", ""], ids=["plain", "blank", "brackets", "empty"]
)
def test_a_process_may_have_any_name(name: str) -> None:
    fields = "S 10 42 43 0 -1 4194304 0 0 0 0 17 5 3 1 " + " ".join(["0"] * 4) + " 987654 0 0"
    stat = procfs.parse_stat(f"44 ({name}) {fields}")
    assert stat == procfs.Stat(state="S", group=42, session=43, started=987654, cpu=26)


def test_this_process() -> None:
    stat = procfs.stat_of(os.getpid())
    assert stat is not None
    assert (stat.group, stat.session) == (os.getpgid(0), os.getsid(0))
    assert procfs.is_alive(os.getpid(), stat.started)
    assert os.getpid() in set(procfs.pids())


def test_what_this_process_uses_is_counted_and_is_part_of_what_keeps_the_processors_busy() -> None:
    used_s, busy_s = procfs.cpu_s([os.getpid()]), procfs.busy_s()
    while procfs.cpu_s([os.getpid()]) < used_s + 0.05:
        pass
    assert procfs.busy_s() >= busy_s + 0.03, "ticks of both are rounded"
    assert procfs.cpu_s([]) == 0.0
    assert procfs.cpu_s([2**30]) == 0.0, "one that is gone"


def test_a_pid_that_was_given_to_another_is_not_the_process_that_had_it() -> None:
    stat = procfs.stat_of(os.getpid())
    assert stat is not None
    assert not procfs.is_alive(os.getpid(), stat.started - 1)


def test_a_pid_that_nobody_has() -> None:
    assert procfs.stat_of(2**22 + 1) is None
    assert not procfs.is_alive(2**22 + 1, 0)


def test_the_living_of_a_session() -> None:
    own = procfs.stat_of(os.getpid())
    assert own is not None
    found = [stat.group for stat in procfs.living([os.getpid(), 2**22 + 1], own.session)]
    assert found == [own.group]
    assert list(procfs.living([os.getpid()], own.session + 1)) == []


def test_a_signal_to_a_group_that_is_gone_is_no_error() -> None:
    procfs.signal_groups([2**22 + 1], signal.SIGCONT)


def test_nobody_has_the_variable() -> None:
    assert procfs.find_by_environment("PLAT_SOCKET", "/no/such/socket") is None


def test_reaping_what_is_not_our_child_is_no_error() -> None:
    procfs.reap(os.getppid())
