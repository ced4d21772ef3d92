"""How much memory sessions of processes use, cheaply enough to ask twenty times a second.

Reads /proc and kills nobody: what follows from a figure is the driver's to decide.
"""

import os
from contextlib import suppress

from pool.drivers import procfs

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class MemoryMeter:
    """Resident memory of each session, its leader's and that of all it started.

    Keeps /proc/<pid>/statm open for every process of a session, and looks for new processes only
    when the kernel has given out a new pid since. Without one, a measurement is one read a process.
    """

    def __init__(self) -> None:
        self._last_pid = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)
        self._seen_last_pid = b""
        self._session_of: dict[int, int] = {}
        self._statm: dict[int, dict[int, int]] = {}

    def watch(self, leader: int) -> None:
        """It may have been seen already, before it had a session of its own."""
        self._statm[leader] = {}
        self._session_of[leader] = leader
        for pid, session in self._session_of.items():
            if session == leader:
                self._open(leader, pid)

    def forget(self, leader: int) -> None:
        for file in self._statm.pop(leader, {}).values():
            os.close(file)

    def close(self) -> None:
        for leader in list(self._statm):
            self.forget(leader)
        os.close(self._last_pid)

    def processes(self, leader: int) -> set[int]:
        """Those of the session now; one that has just ended may be among them."""
        self._look_for_new_processes()
        return {leader, *(pid for pid, session in self._session_of.items() if session == leader)}

    def measure(self) -> dict[int, int]:
        """Bytes by session leader."""
        self._look_for_new_processes()
        return {leader: self._sum(leader, files) for leader, files in self._statm.items()}

    def _look_for_new_processes(self) -> None:
        last_pid = os.pread(self._last_pid, 128, 0).rpartition(b" ")[2]
        if last_pid == self._seen_last_pid:
            return
        self._seen_last_pid = last_pid
        now = set(procfs.pids())
        for pid in self._session_of.keys() - now:
            del self._session_of[pid]
        for pid in now - self._session_of.keys():
            stat = procfs.stat_of(pid)
            self._session_of[pid] = session = stat.session if stat else 0
            if session in self._statm and pid not in self._statm[session]:
                self._open(session, pid)

    def _open(self, leader: int, pid: int) -> None:
        with suppress(OSError):  # it ended meanwhile
            self._statm[leader][pid] = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)

    def _sum(self, leader: int, files: dict[int, int]) -> int:
        total = 0
        for pid, file in list(files.items()):
            pages = _pages(file, leader=pid == leader)
            if pages:
                total += pages
            else:
                os.close(files.pop(pid))
        return total * PAGE_BYTES


def _pages(file: int, *, leader: bool) -> int:
    """Of a child only what it does not share with files: the leader's figure has those pages already."""
    try:
        fields = os.pread(file, 128, 0).split()
    except OSError:
        return 0
    if len(fields) < 3:
        return 0
    resident, shared = int(fields[1]), int(fields[2])
    return resident if leader else resident - shared
