"""The driver that runs instances as plain processes of this machine (Linux).

It isolates nothing: a function runs as the platform's own user and can read what that user can. It is
for one's own code, and for machines without Docker. What it knows is in one folder for each instance.
"""

import asyncio
import errno
import os
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime

import msgspec

from plat.errors import PlatError
from plat.logs import get_logger
from plat.settings import Settings
from plat.tasks import cancel, spawn
from pool.drivers import exits, procfs
from pool.drivers.base import Exited, Listener, Running, StartOrder, Written
from pool.drivers.child import Child, launch
from pool.drivers.environment import environment
from pool.drivers.folder import STREAMS, Folder, Record, Stream, folders, remove_unfinished
from pool.drivers.logfile import LogFile
from pool.drivers.memory import MemoryMeter
from pool.drivers.runtimes import Runtime, installed, named

log = get_logger(__name__)

TICK_S = 0.05
TICKS_PER_LOG_READ = 2
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ProcessDriver:
    """See `pool.drivers.base.Driver`. `runtimes` replaces the installed ones, by name."""

    name = "process"

    def __init__(self, settings: Settings, runtimes: Mapping[str, Runtime] | None = None) -> None:
        self._root = settings.run_dir / "instances"
        self._runtimes = runtimes
        self._children: dict[str, Child] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._busy = asyncio.Event()
        self._listing = asyncio.Lock()

    async def open(self, listener: Listener) -> None:
        self._listener = listener
        if self._runtimes is None:
            self._runtimes = await asyncio.to_thread(installed)
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_unfinished(self._root)
        self._meter = MemoryMeter()
        await self.list()
        self._ticker = spawn(self._tick(), "process driver: memory and output")

    async def close(self) -> None:
        await cancel(self._ticker)
        await asyncio.gather(*self._ending)
        for child in self._children.values():
            child.close()
        self._children.clear()
        self._meter.close()

    async def start(self, order: StartOrder) -> Running:
        """Has no point at which it could be cancelled, so it cannot leave a half."""
        assert self._runtimes is not None, "start before open"
        runtime = named(self._runtimes, order.version.spec.runtime)
        folder = Folder(self._root, order.instance)
        record = Record.of(order.instance, order.version, datetime.now(UTC))
        try:
            folder.make(record)
            child = launch(folder, record, runtime.argv, self._environment(order, folder), order.code)
        except OSError as error:
            folder.remove()
            raise _start_error(error, order) from error
        self._watch(child)
        return child.running

    async def stop(self, instance: str, grace_s: float) -> None:
        """Cancelled, the instance may go on; stop it again. Any number may stop it at once."""
        if instance not in self._children and Folder(self._root, instance).read() is not None:
            await self.list()
        child = self._children.get(instance)
        if child is None:
            return
        child.stopping = True
        child.terminate()
        try:
            async with asyncio.timeout(grace_s):
                await child.ended.wait()
        except TimeoutError:
            child.kill()
            await child.ended.wait()

    async def list(self) -> list[Running]:
        """Also watches what it finds, and clears away what is left of instances that are gone."""
        async with self._listing:
            for folder in folders(self._root):
                record = folder.read()
                if record is not None and record.instance not in self._children:
                    await self._adopt(folder, record)
        return [child.running for child in self._live()]

    async def _adopt(self, folder: Folder, record: Record) -> None:
        if record.pid is None:
            record = _find(folder, record)
        if record.pid is not None and procfs.is_alive(record.pid, record.started):
            with suppress(ProcessLookupError):
                self._watch(Child(folder, record))
                return
        await self._clear(folder, record)

    def _live(self) -> Sequence[Child]:
        return [child for child in self._children.values() if not child.ending]

    async def _clear(self, folder: Folder, record: Record) -> None:
        """An instance that ended while no pool ran: its last lines are still worth reading."""
        if record.pid is not None:
            procfs.kill_session(record.pid, record.started)
            procfs.reap(record.pid)
        for stream in STREAMS:
            with closing(LogFile(folder.log(stream))) as file:
                while (messages := file.read(final=True)) is not None:
                    self._write(record, stream, messages)
                    await asyncio.sleep(0)
        await asyncio.to_thread(folder.remove)

    def _environment(self, order: StartOrder, folder: Folder) -> dict[str, str]:
        system = {
            "PATH": os.environ.get("PATH", DEFAULT_PATH),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            "HOME": str(folder.tmp),
            "TMPDIR": str(folder.tmp),
        }
        return environment(order, system, socket=str(folder.socket), code=str(order.code))

    def _watch(self, child: Child) -> None:
        self._children[child.record.instance] = child
        self._meter.watch(child.pid)
        self._busy.set()
        child.on_exit(lambda: self._begin_end(child))

    def _begin_end(self, child: Child) -> None:
        task = spawn(self._end(child), f"end of instance {child.record.instance}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, child: Child) -> None:
        """Everything it started goes first, then its last lines are read, then its end is told."""
        child.ending = True
        self._meter.forget(child.pid)
        child.kill()
        try:
            await self._read_last_lines(child)
            await asyncio.to_thread(child.folder.remove)
        except OSError as error:
            log.error("clearing away an instance failed", instance=child.record.instance, error=str(error))
        cause = child.reap()
        child.close()
        del self._children[child.record.instance]
        child.ended.set()
        if not child.stopping:
            self._listener.exited(Exited(child.record.instance, cause.reason, cause.detail))

    async def _read_last_lines(self, child: Child) -> None:
        for stream, messages in child.lines(final=True):
            self._write(child.record, stream, messages)
            await asyncio.sleep(0)

    async def _tick(self) -> None:
        """Sleeps while there is no instance."""
        ticks = 0
        while True:
            if not self._children:
                self._busy.clear()
            await self._busy.wait()
            try:
                self._check_memory()
                if ticks % TICKS_PER_LOG_READ == 0:
                    self._read_output()
            except OSError as error:
                log.error("watching instances failed; trying again", error=str(error))
            ticks += 1
            await asyncio.sleep(TICK_S)

    def _check_memory(self) -> None:
        used_by_pid = self._meter.measure()
        for child in self._live():
            limit_mb = child.record.memory_mb
            used = used_by_pid.get(child.pid, 0)
            if used > limit_mb * 1024 * 1024 and child.cause is None:
                child.cause = exits.used_too_much(used, limit_mb)
                child.kill()

    def _read_output(self) -> None:
        for child in self._live():
            for stream, messages in child.lines():
                self._write(child.record, stream, messages)

    def _write(self, record: Record, stream: Stream, messages: Sequence[str]) -> None:
        now = datetime.now(UTC)
        for message in messages:
            written = Written(record.instance, stream, now, message, record.function, record.number)
            self._listener.wrote(written)


def _find(folder: Folder, record: Record) -> Record:
    """A pool killed between starting a process and writing down its pid left a process with this socket."""
    pid = procfs.find_by_environment("PLAT_SOCKET", str(folder.socket))
    stat = procfs.stat_of(pid) if pid is not None else None
    if stat is None:
        return record
    record = msgspec.structs.replace(record, pid=pid, started=stat.started)
    folder.write(record)
    return record


def _start_error(error: OSError, order: StartOrder) -> PlatError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PlatError("disk_full", f"{error}. Free some space and try again.")
    version = order.version
    return PlatError(
        "instance_start_failed",
        f"No process could be started for {version.function} version {version.number}: {error}.",
    )
