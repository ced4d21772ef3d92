"""CPU time of processes from their own accounting, so that a shared machine does not spoil it.

The total is the scheduler's, in nanoseconds, over all threads (/proc/<pid>/task/*/schedstat); how it divides
into user and system time is only known from clock ticks (/proc/<pid>/stat, which also counts ended threads).
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_DISTRUST_S = 0.05
_DISTRUST_SHARE = 0.05


class Reading(NamedTuple):
    """Of one moment, since the processes began."""

    user_ticks: int
    system_ticks: int
    scheduled_s: float


class Cpu(NamedTuple):
    """Spent between two readings, in seconds."""

    user_s: float
    system_s: float

    @property
    def total_s(self) -> float:
        return self.user_s + self.system_s


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").glob("*")
        for child in _text(task / "children").split()
    ]
    return [pid, *(member for child in children for member in family(child))]


def read(pids: Iterable[int]) -> Reading:
    user = system = 0
    scheduled_s = 0.0
    for pid in pids:
        if not (stat := _text(Path(f"/proc/{pid}/stat"))):
            continue
        ticks = parse_stat(stat)
        user, system = user + ticks[0], system + ticks[1]
        scheduled_s += _scheduled_s(pid)
    return Reading(user, system, scheduled_s)


def parse_stat(text: str) -> tuple[int, int]:
    """User and system time in clock ticks (proc(5), fields 14 and 15); the name may hold anything."""
    fields = text.rsplit(")", 1)[1].split()
    return int(fields[11]), int(fields[12])


def spent(before: Reading, after: Reading) -> Cpu:
    """The scheduler's time, divided as the ticks say; the ticks' own where a thread ended in between."""
    user = after.user_ticks - before.user_ticks
    system = after.system_ticks - before.system_ticks
    ticks_s = (user + system) / _TICKS
    total_s = after.scheduled_s - before.scheduled_s
    if ticks_s - total_s > _DISTRUST_S + ticks_s * _DISTRUST_SHARE:
        total_s = ticks_s
    share = user / (user + system) if user + system else 0.5
    return Cpu(total_s * share, total_s * (1 - share))


def _scheduled_s(pid: int) -> float:
    texts = (_text(each) for each in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(text.split()[0]) for text in texts if text) / 1e9


def _text(path: Path) -> str:
    """Empty if the process or thread has just ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
