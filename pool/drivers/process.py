"""The driver that runs instances as plain processes of this machine (Linux).

It isolates nothing: a function runs as the platform's own user and can read what that user can. It is
for one's own code, and for machines without Docker. What it knows is in one folder for each instance.
"""

import asyncio
import errno
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime

from msgspec.structs import replace

from plat.errors import PlatError
from plat.logs import get_logger
from plat.settings import Settings
from plat.tasks import cancel, spawn
from pool.drivers import exits, procfs
from pool.drivers.base import Exited, Kind, Listener, Placed, Running, StartOrder, WarmOrder, Written
from pool.drivers.child import Child
from pool.drivers.environment import environment, load_order, needs_own_start, warm_environment
from pool.drivers.folder import STREAMS, Folder, Record, Stream, folders, remove_unfinished
from pool.drivers.logfile import LogFile
from pool.drivers.memory import MemoryMeter
from pool.drivers.runtimes import Runtime, installed
from pool.drivers.starter import Birth, Starter, system_environment

log = get_logger(__name__)

TICK_S = 0.05
TICKS_PER_LOG_READ = 2
FORK_SERVER_START_S = 2.0
"""A warm instance waits so long for a fork server that is starting: forked, it shares memory with others."""

PAUSE_S = 1.0
PAUSE_POLL_S = 0.0005


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
        runtimes = self._runtimes if self._runtimes is not None else await asyncio.to_thread(installed)
        self._starter = Starter(runtimes)
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
        await self._starter.close()

    async def start(self, order: StartOrder) -> Running:
        version, folder = order.version, Folder(self._root, order.instance)
        record = Record.of(order.instance, version, datetime.now(UTC))
        system = {**system_environment(), **_home(folder)}
        env = environment(order, system, socket=str(folder.socket), code=str(order.code))
        may_fork = not needs_own_start(version.spec)
        try:
            birth = Birth(folder, record, env, order.code)
            child = await self._starter.start(version.spec.runtime, birth, fork=may_fork)
        except OSError as error:
            raise _refused(error, f"{version.function} version {version.number}") from error
        self._watch(child)
        return child.running

    async def warm(self, order: WarmOrder) -> Running:
        folder, runtime = Folder(self._root, order.instance), order.kind.runtime
        record = Record.of_warm(order.instance, order.kind, datetime.now(UTC))
        env = warm_environment(order, {**system_environment(), **_home(folder)}, socket=str(folder.socket))
        try:
            birth = Birth(folder, record, env, self._root)
            child = await self._starter.start(runtime, birth, patience_s=FORK_SERVER_START_S)
        except OSError as error:
            raise _refused(error, f"a warm instance of {runtime}") from error
        self._watch(child)
        return child.running

    async def place(self, order: StartOrder) -> Placed:
        """The code is read where it is. Once this returns, `list` tells the version, whatever happens."""
        child, version = self._live_one(order.instance), order.version
        if child.record.kind is None:
            raise _of_no_use(order.instance, "has a function already")
        assert child.record.kind == Kind.of(version.spec), "a version of another kind"
        try:
            order.code.stat()
            child.become(child.record.with_version(version))
        except OSError as error:
            raise _refused(error, f"{version.function} version {version.number}") from error
        return Placed(child.running, load_order(order, code=str(order.code)))

    async def pause(self, instance: str) -> None:
        """Cancelled, it may be paused in part; resume it."""
        child = self._live_one(instance)
        try:
            async with asyncio.timeout(PAUSE_S):
                while not child.pause(self._meter.processes(child.pid)):
                    await asyncio.sleep(PAUSE_POLL_S)
                    if child.stopping:
                        raise _of_no_use(instance, "is being stopped")
        except TimeoutError as error:
            child.resume(self._meter.processes(child.pid))
            raise _of_no_use(instance, f"cannot be paused within {PAUSE_S} s") from error

    async def resume(self, instance: str) -> None:
        child = self._live_one(instance)
        child.resume(self._meter.processes(child.pid))

    async def cpu_s(self, instance: str) -> float:
        child = self._live_one(instance)
        return procfs.cpu_s(self._meter.processes(child.pid))

    async def stop(self, instance: str, grace_s: float) -> None:
        """Cancelled, the instance may go on; stop it again. Any number may stop it at once."""
        if instance not in self._children and Folder(self._root, instance).read() is not None:
            await self.list()
        child = self._children.get(instance)
        if child is None:
            return
        child.stopping = True
        child.terminate(self._meter.processes(child.pid))
        try:
            async with asyncio.timeout(grace_s):
                await child.ended.wait()
        except TimeoutError:
            self._kill(child)
            await child.ended.wait()

    async def list(self) -> list[Running]:
        """Also watches what it finds, and clears away what is left of instances that are gone."""
        async with self._listing:
            for folder in folders(self._root):
                record = folder.read()
                if record is not None and record.instance not in self._children:
                    await self._adopt(folder, record)
        return [replace(child.running, paused=child.is_paused) for child in self._live()]

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

    def _live_one(self, instance: str) -> Child:
        child = self._children.get(instance)
        if child is None or child.ending or child.stopping:
            raise _of_no_use(instance, "is gone")
        return child

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
        self._kill(child)
        self._meter.forget(child.pid)
        try:
            await self._read_last_lines(child)
            await asyncio.to_thread(child.folder.remove)
        except OSError as error:
            log.error("clearing away an instance failed", instance=child.record.instance, error=str(error))
        cause = await child.reap()
        child.close()
        del self._children[child.record.instance]
        child.ended.set()
        if not child.stopping:
            self._listener.exited(Exited(child.record.instance, cause.reason, cause.detail))

    def _kill(self, child: Child) -> None:
        child.kill(lambda: self._meter.processes(child.pid))

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
                self._kill(child)

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
    if pid is None or stat is None:
        return record
    record = record.run_by(pid, stat.started)
    folder.write(record)
    return record


def _home(folder: Folder) -> dict[str, str]:
    return {"HOME": str(folder.tmp), "TMPDIR": str(folder.tmp)}


def _of_no_use(instance: str, why: str) -> PlatError:
    return PlatError("instance_unavailable", f"Instance {instance} {why}.")


def _refused(error: OSError, what: str) -> PlatError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PlatError("disk_full", f"{error}. Free some space and try again.")
    return PlatError("instance_start_failed", f"No process could be started for {what}: {error}.")
