"""Brings the process of an instance to life: by fork where its runtime has a fork server, else by exec.

Either way the same process comes of it. Knows runtimes and folders; watches nothing.
"""

import os
import resource
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pool.drivers import procfs
from pool.drivers.child import Child
from pool.drivers.folder import Folder, Record
from pool.drivers.fork_process import ChildOrder, ForkProcess, ForkServerGoneError
from pool.drivers.fork_server import ForkServer
from pool.drivers.runtimes import Runtime, fork_argv, named

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def system_environment() -> dict[str, str]:
    """What of our own environment others may see."""
    return {"PATH": os.environ.get("PATH", DEFAULT_PATH), "LANG": os.environ.get("LANG", "C.UTF-8")}


class Birth(NamedTuple):
    """What is to run, as whom, and where."""

    folder: Folder
    record: Record
    env: Mapping[str, str]
    cwd: Path


class _Process(subprocess.Popen[bytes]):
    """Outlives the pool and is reaped through its pidfd: what Popen does when dropped is wrong here."""

    def __del__(self) -> None:
        """No warning that it still runs, no reaping behind our back."""


class Starter:
    """Has a fork server for each runtime that can have one and was asked for."""

    def __init__(self, runtimes: Mapping[str, Runtime]) -> None:
        self._runtimes = runtimes
        self._servers: dict[str, ForkServer] = {}

    async def close(self) -> None:
        for server in self._servers.values():
            await server.close()

    async def fork_server(self, runtime: str, patience_s: float) -> ForkProcess | None:
        """The runtime's, started now if it was not; None: it has none, or not yet. Raises PlatError."""
        server = self._server(runtime, named(self._runtimes, runtime))
        return await server.process_within(patience_s) if server is not None else None

    async def start(self, runtime: str, birth: Birth, *, fork: bool = True, patience_s: float = 0) -> Child:
        """Cancelled or failed, it leaves nothing. Raises PlatError for an unknown runtime, and OSError.

        `fork`: it may be forked. A fork server that is only starting is waited for `patience_s`.
        """
        found = named(self._runtimes, runtime)
        birth.cwd.stat()
        try:
            if fork and (server := self._server(runtime, found)) is not None:
                process = await server.process_within(patience_s) if patience_s else server.process
                if process is not None and (child := await _forked(process, birth)) is not None:
                    server.was_of_use()
                    return child
            return _executed(found.argv, birth)
        except BaseException:
            birth.folder.remove()
            raise

    def _server(self, name: str, runtime: Runtime) -> ForkServer | None:
        argv = fork_argv(runtime)
        if not argv:
            return None
        if name not in self._servers:
            self._servers[name] = ForkServer(argv, system_environment())
        self._servers[name].want()
        return self._servers[name]


async def _forked(process: ForkProcess, birth: Birth) -> Child | None:
    """The folder appears with the pid in its record; then the child may run.

    None: the fork server has died, and whatever it had made is gone.
    """
    folder = birth.folder
    stdout, stderr = str(folder.log("stdout")), str(folder.log("stderr"))
    try:
        forked = await process.fork(ChildOrder(birth.env, str(birth.cwd), stdout, stderr))
    except ForkServerGoneError:
        return None
    with forked:
        record = birth.record.run_by(forked.pid, _started(forked.pid))
        folder.make(record)
        child = Child(folder, record, process)
        forked.release()
        return child


def _executed(argv: tuple[str, ...], birth: Birth) -> Child:
    """The record is there first: a pool that is killed in between finds the process by its socket.

    Blocks for about a millisecond (vfork until exec).
    """
    folder, record, env, cwd = birth
    folder.make(record)
    with folder.log("stdout").open("ab") as stdout, folder.log("stderr").open("ab") as stderr:
        process = _Process(
            argv,
            cwd=cwd,
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
        record = record.run_by(process.pid, _started(process.pid))
        folder.write(record)
        return Child(folder, record)
    except BaseException:
        process.kill()
        process.wait()
        raise


def _started(pid: int) -> int:
    """Of a child that was not reaped: its entry in /proc is there, unless whoever had it died with it."""
    stat = procfs.stat_of(pid)
    if stat is None:
        raise ProcessLookupError(f"process {pid} is gone")
    return stat.started
