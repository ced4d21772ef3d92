"""What functions wrote, kept on disk within bounds, read back, and followed live.

Knows no instances and no drivers; all file work is in `pool.logfiles`, on one thread of its own.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from plat.logs import get_logger
from plat.model import LogLine
from plat.tasks import spawn
from pool.drivers.base import Written
from pool.logfiles import LogFiles

log = get_logger(__name__)

T = TypeVar("T")

FLUSH_S = 0.1
PENDING_LINES = 20_000
"""Lines that may wait for the disk; with a disk that is slower than the functions, the rest is lost."""

FOLLOWER_LINES = 2_000
"""Lines that may wait for one reader."""

INSTANCES_REMEMBERED = 20_000
"""Instances whose last line's time is known; more cannot run on one machine."""


class LogBook:
    """Lines of every function. `append` and `drop` never wait; a line is on disk about 0.1 s later."""

    def __init__(self, folder: Path) -> None:
        self._files = LogFiles(folder)
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="logbook")  # so, in order
        self._pending: list[LogLine] = []
        self._lost = 0
        self._followers: dict[str, set[Follower]] = {}
        self._last: dict[str, datetime] | None = None
        self._flusher: asyncio.Task[None] | None = None

    def append(self, function: str, version: int, written: Written) -> None:
        line = LogLine(
            time=written.time,
            function=function,
            version=version,
            instance=written.instance,
            stream=written.stream,
            message=written.message,
        )
        self._remember(written)
        for follower in self._followers.get(function, ()):
            follower.put(line)
        if len(self._pending) < PENDING_LINES:
            self._pending.append(line)
        else:
            self._lost += 1
        if self._flusher is None or self._flusher.done():
            self._flusher = spawn(self._flush_soon(), "log book: flush")

    def last_written(self, instance: str) -> datetime | None:
        """The time of the instance's last line, also from before a restart."""
        return self._known().get(instance)

    def drop(self, function: str) -> None:
        """Forget all of a function; whoever follows it comes to the end."""
        self._pending = [line for line in self._pending if line.function != function]
        for follower in self._followers.pop(function, ()):
            follower.close()
        self._disk.submit(self._files.remove, function)  # in line at once: before what is asked next

    async def read(self, function: str, tail: int, follow: bool) -> AsyncIterator[LogLine]:
        """The last `tail` lines, then, with `follow`, every new one until the function is dropped.

        A reader that is too slow loses lines, and is told how many. Safe to cancel.
        """
        follower = Follower()
        batch = self._take()
        if follow:  # in the same step as taking the batch: no line falls between, none comes twice
            self._followers.setdefault(function, set()).add(follower)
        try:
            await self._write(batch)
            for line in await self._on_disk(partial(self._files.tail, function, tail)):
                yield line
            while follow and (more := await follower.get(function)) is not None:
                yield more
        finally:
            self._followers.get(function, set()).discard(follower)

    async def flush(self) -> None:
        await self._write(self._take())

    async def close(self) -> None:
        await self.flush()
        self._disk.shutdown(wait=False)

    async def _flush_soon(self) -> None:
        while self._pending:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    def _take(self) -> list[LogLine]:
        batch, self._pending = self._pending, []
        if self._lost:
            log.warning("lines of functions were lost: the disk is too slow", lines=self._lost)
            self._lost = 0
        return batch

    async def _write(self, batch: list[LogLine]) -> None:
        if not batch:
            return
        try:
            await self._on_disk(partial(self._files.write, batch))
        except OSError as error:
            log.error("lines of functions cannot be kept", lines=len(batch), error=str(error))

    def _remember(self, written: Written) -> None:
        known = self._known()
        known.pop(written.instance, None)  # put back last: the dict is in the order of the last line
        known[written.instance] = written.time
        if len(known) > INSTANCES_REMEMBERED:
            del known[next(iter(known))]

    def _known(self) -> dict[str, datetime]:
        if self._last is None:
            self._last = self._files.last_written()
        return self._last

    async def _on_disk(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, call)


class Follower:
    """The lines that wait for one reader."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque()
        self._lost = 0
        self._closed = False
        self._woken = asyncio.Event()

    def put(self, line: LogLine) -> None:
        if self._lost or len(self._lines) >= FOLLOWER_LINES:
            self._lost += 1
        else:
            self._lines.append(line)
        self._woken.set()

    def close(self) -> None:
        self._closed = True
        self._woken.set()

    async def get(self, function: str) -> LogLine | None:
        """None: no more will come."""
        while not self._lines:
            if self._lost:
                return self._lost_line(function)
            if self._closed:
                return None
            self._woken.clear()
            await self._woken.wait()
        return self._lines.popleft()

    def _lost_line(self, function: str) -> LogLine:
        lost, self._lost = self._lost, 0
        message = f"[{lost} lines were left out: this reader was too slow]"
        return LogLine(
            time=datetime.now(UTC),
            function=function,
            version=0,
            instance="",
            stream="stderr",
            message=message,
        )
