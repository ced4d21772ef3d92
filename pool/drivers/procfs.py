"""Processes as /proc tells them: who is alive, who belongs to a session, and ending all of one.

A session is known by its leader's pid and start time: a pid alone may have been given to another.
"""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
KILL_ROUNDS = 20
"""A process may fork while it is being looked for; each round can only find what the last one missed."""


class Stat(NamedTuple):
    """The fields of /proc/<pid>/stat that we use (proc(5))."""

    state: str
    group: int
    session: int
    started: int
    """In clock ticks since the machine started."""
    cpu: int
    """User and system time, in clock ticks: its own, and that of children that it has waited for."""


def parse_stat(content: str) -> Stat:
    """The name in brackets may hold anything, also brackets and blanks: fields count from its end."""
    fields = content.rpartition(")")[2].split()
    return Stat(
        state=fields[0],
        group=int(fields[2]),
        session=int(fields[3]),
        started=int(fields[19]),
        cpu=sum(map(int, fields[11:15])),
    )


def stat_of(pid: int) -> Stat | None:
    try:
        return parse_stat((PROC / str(pid) / "stat").read_text(errors="replace"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def cpu_s(among: Iterable[int]) -> float:
    """Processor seconds that the processes have used, and those they started and waited for."""
    return sum(stat.cpu for stat in map(stat_of, among) if stat is not None) / TICKS_PER_S


def busy_s() -> float:
    """Seconds that all processors together have been busy since the machine started (proc(5), /proc/stat).

    Waiting for a disk is idle time; what a hypervisor gave to others is not.
    """
    with (PROC / "stat").open(encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S


def is_alive(pid: int, started: int) -> bool:
    """Whether that very process still runs; one that ended and was not reaped yet does not."""
    stat = stat_of(pid)
    return stat is not None and stat.started == started and stat.state not in "ZX"


def pids() -> Iterator[int]:
    with os.scandir(PROC) as entries:
        for entry in entries:
            if entry.name.isdigit():
                yield int(entry.name)


def find_by_environment(name: str, value: str) -> int | None:
    """The session leader that was started with the variable. Reads every process: rarely used."""
    wanted = f"{name}={value}".encode()
    for pid in pids():
        try:
            content = (PROC / str(pid) / "environ").read_bytes()
        except OSError:
            continue  # gone meanwhile, or somebody else's: then it is none of ours
        if wanted in content.split(b"\0") and (stat := stat_of(pid)) is not None and stat.session == pid:
            return pid
    return None


def kill_session(leader: int, started: int, look: Callable[[], Iterable[int]] = pids) -> None:
    """SIGKILL every process group of the session. `look` finds its processes, and may find others too.

    Call it before the leader is reaped, which keeps its pid from being given to another.
    """
    for _ in range(KILL_ROUNDS):
        head = stat_of(leader)
        if head is not None and head.started != started:
            return
        groups = {stat.group for stat in living(look(), leader)}
        if not groups:
            return
        signal_groups(groups, signal.SIGKILL)


def living(among: Iterable[int], session: int) -> Iterator[Stat]:
    """The processes of the session that have not ended."""
    stats = (stat_of(pid) for pid in among)
    return (stat for stat in stats if stat is not None and stat.session == session and stat.state not in "ZX")


def signal_groups(groups: Iterable[int], number: signal.Signals) -> None:
    """To a group the kernel sends it as a whole: none of its processes forks between two of them."""
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, number)


def reap(pid: int) -> None:
    """Where it is our child and has ended: an earlier driver of this very process may have started it."""
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
