"""One running process of an instance: started or found again, watched through its pidfd, read, ended.

Linux only (pidfd_open, 5.3). Decides nothing: the driver says when to stop it and tells of its end.
"""

import asyncio
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from pool.drivers import exits, procfs
from pool.drivers.exits import Cause
from pool.drivers.folder import STREAMS, Folder, Record, Stream
from pool.drivers.logfile import LogFile


class _Process(subprocess.Popen[bytes]):
    """Outlives the pool and is reaped through its pidfd: what Popen does when dropped is wrong here."""

    def __del__(self) -> None:
        """No warning that it still runs, no reaping behind our back."""


class Child:
    """Holds file descriptors until `close`."""

    def __init__(self, folder: Folder, record: Record) -> None:
        """Of a process that lives, or is our child and was not reaped. Raises ProcessLookupError."""
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
        self._pidfd = os.pidfd_open(self.pid)
        self._logs = {stream: LogFile(folder.log(stream)) for stream in STREAMS}

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

    def terminate(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)

    def kill(self) -> None:
        """The process and all that it started in its session."""
        procfs.kill_session(self.pid, self.record.started)

    def reap(self) -> Cause:
        """How it ended; a process that an earlier pool started is not our child, and cannot be asked."""
        try:
            result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return self.cause or exits.UNKNOWN
        if result is None:
            raise RuntimeError(f"process {self.pid} is reaped before it ended")
        return self.cause or exits.from_wait(result)

    def lines(self, *, final: bool = False) -> Iterator[tuple[Stream, list[str]]]:
        """What it wrote since; a final reading goes on until all is read, batch by batch."""
        for stream, log in self._logs.items():
            while (messages := log.read(final=final)) is not None:
                yield stream, messages
                if not final:
                    break


def launch(folder: Folder, record: Record, argv: Sequence[str], env: Mapping[str, str], code: Path) -> Child:
    """Start the process and write down its pid. Blocks for about a millisecond (vfork until exec).

    Raises OSError, and leaves no process then.
    """
    with folder.log("stdout").open("ab") as stdout, folder.log("stderr").open("ab") as stderr:
        process = _Process(
            argv,
            cwd=code,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            umask=0o077,
        )
    try:
        with suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
        stat = procfs.stat_of(process.pid)
        assert stat is not None, "a child that was not reaped has an entry in /proc"
        record = msgspec.structs.replace(record, pid=process.pid, started=stat.started)
        folder.write(record)
        return Child(folder, record)
    except BaseException:
        process.kill()
        process.wait()
        raise
