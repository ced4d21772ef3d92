"""One running process of an instance: started or found again, watched through its pidfd, read, ended.

Linux only (pidfd_open, 5.3). Decides nothing: the driver says when to stop it and tells of its end.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, suppress

from pool.drivers import exits, procfs
from pool.drivers.exits import Cause
from pool.drivers.folder import STREAMS, Folder, Record, Stream
from pool.drivers.fork_process import ForkProcess
from pool.drivers.logfile import LogFile


class Child:
    """Holds file descriptors until `close`. `parent` made it by fork, and is asked how it ended."""

    def __init__(self, folder: Folder, record: Record, parent: ForkProcess | None = None) -> None:
        """Of a process that lives or was not reaped. Raises ProcessLookupError, and OSError."""
        if record.pid is None:
            raise ProcessLookupError(record.instance)
        self.folder = folder
        self.record = record
        self.pid = record.pid
        self.running = folder.running(record)
        self.cause: Cause | None = None
        """Why it was ended, where that is known before its exit status is."""
        self.stopping = False
        self.ending = False
        """It has exited; its last lines are being read."""
        self.ended = asyncio.Event()
        """Set when nothing of it is left."""
        self._parent = parent
        with ExitStack() as undo:
            self._pidfd = os.pidfd_open(self.pid)
            undo.callback(os.close, self._pidfd)
            self._logs = {
                stream: undo.enter_context(closing(LogFile(folder.log(stream)))) for stream in STREAMS
            }
            undo.pop_all()

    @property
    def is_paused(self) -> bool:
        stat = procfs.stat_of(self.pid)
        return stat is not None and stat.state == "T"

    def become(self, record: Record) -> None:
        """The same process, of a version now. Raises OSError, and is what it was then."""
        self.folder.write(record)
        self.record = record
        self.running = self.folder.running(record)

    def on_exit(self, call: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def exited() -> None:
            loop.remove_reader(self._pidfd)
            call()

        loop.add_reader(self._pidfd, exited)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        for log in self._logs.values():
            log.close()

    def terminate(self, processes: Iterable[int]) -> None:
        """SIGTERM. It wakes a paused one, which sees the signal before it goes on."""
        self._signal(signal.SIGTERM)
        if self.is_paused:
            self.resume(processes)

    def kill(self, look: Callable[[], Iterable[int]]) -> None:
        """The process and all that it started in its session, where `look` finds it."""
        self._signal(signal.SIGKILL)
        procfs.kill_session(self.pid, self.record.started, look)

    def pause(self, processes: Iterable[int]) -> bool:
        """Stop those of `processes` that are of its session; whether all of them stand still.

        A pool killed half-way leaves one that counts as paused: its own process is stopped first.
        """
        going = {stat.group for stat in procfs.living(processes, self.pid) if stat.state in "RS"}
        procfs.signal_groups(sorted(going, key=self._is_other), signal.SIGSTOP)
        return not going

    def resume(self, processes: Iterable[int]) -> None:
        """Its own process last, for the same reason."""
        groups = {stat.group for stat in procfs.living(processes, self.pid)}
        procfs.signal_groups(sorted(groups, key=self._is_other, reverse=True), signal.SIGCONT)

    def _is_other(self, group: int) -> bool:
        return group != self.pid

    async def reap(self) -> Cause:
        """How it ended. Of a process that is no child of ours, nor of our fork server, nobody can tell."""
        if self._parent is not None and (cause := await self._parent.reap(self.pid)) is not None:
            return self.cause or cause
        cause = self._wait()
        return self.cause or cause

    def _wait(self) -> Cause:
        try:
            result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return exits.UNKNOWN
        if result is None:
            raise RuntimeError(f"process {self.pid} is reaped before it ended")
        return exits.from_wait(result.si_code, result.si_status)

    def _signal(self, number: signal.Signals) -> None:
        """Nothing of one that has ended: its descriptor is closed, and may be another's now."""
        if not self.ended.is_set():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def lines(self, *, final: bool = False) -> Iterator[tuple[Stream, list[str]]]:
        """What it wrote since; a final reading goes on until all is read, batch by batch."""
        for stream, log in self._logs.items():
            while (messages := log.read(final=final)) is not None:
                yield stream, messages
                if not final:
                    break
