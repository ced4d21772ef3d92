"""The output of a container, as the engine keeps it: read on from a moment, followed while it runs."""

import asyncio
import random
import re
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from aiohttp import StreamReader

from plat.errors import PlatError
from plat.logs import get_logger
from plat.tasks import cancel
from pool.drivers.base import Running, Written
from pool.drivers.docker_engine import Engine, EngineRefusalError
from pool.drivers.docker_events import backoff_s
from pool.drivers.lines import LINE_LIMIT_BYTES, text

log = get_logger(__name__)

FRAME = struct.Struct(">BxxxL")
"""Engine API, "Stream format" of attach: stream number, three zero bytes, length."""

FRAME_LIMIT_BYTES = 1024 * 1024
LAST_LINES_S = 2.0
"""How long a follower of a container that has ended may take to come to the end of its stream."""

_GONE = (404, 409)
"""No such container; it is being removed."""

_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})Z ")
_STREAMS: dict[int, Literal["stdout", "stderr"]] = {1: "stdout", 2: "stderr"}


class Piece(NamedTuple):
    """One entry of the engine's log: a line, or up to 16 KB of one. `time_ns` is Unix time."""

    stream: Literal["stdout", "stderr"]
    time_ns: int
    content: bytes


def parse_piece(number: int, payload: bytes) -> Piece | None:
    """None: no time at its start, or a stream that we do not know."""
    match = _TIME.match(payload)
    if match is None or number not in _STREAMS:
        return None
    seconds = int(datetime.fromisoformat(match[1].decode() + "+00:00").timestamp())
    return Piece(_STREAMS[number], seconds * 10**9 + int(match[2]), payload[match.end() :])


class Assembler:
    """Pieces in, lines out; a line over 64 KB comes in pieces of its own."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._begun: dict[str, bytes] = {"stdout": b"", "stderr": b""}

    def become(self, running: Running) -> None:
        """Lines from now on are of another: a warm instance was given a function."""
        self._running = running

    def add(self, piece: Piece) -> Written | None:
        content = self._begun[piece.stream] + piece.content
        whole = content.endswith(b"\n")
        if not whole and len(content) < LINE_LIMIT_BYTES:
            self._begun[piece.stream] = content
            return None
        self._begun[piece.stream] = b""
        return self._written(piece.stream, piece.time_ns, content.removesuffix(b"\n"))

    def rest(self, time_ns: int) -> list[Written]:
        """What was begun and never ended, when nothing more will come."""
        begun, self._begun = self._begun, {"stdout": b"", "stderr": b""}
        return [
            self._written(stream, time_ns, begun[stream]) for stream in _STREAMS.values() if begun[stream]
        ]

    def _written(self, stream: Literal["stdout", "stderr"], time_ns: int, content: bytes) -> Written:
        time = datetime.fromtimestamp(time_ns // 10**9, UTC).replace(microsecond=time_ns // 1000 % 10**6)
        of = self._running
        return Written(of.instance, stream, time, text(content), of.function, of.number)


class ContainerLog:
    """Reads on from the last entry it saw, over connections that may break."""

    def __init__(
        self,
        engine: Engine,
        container: str,
        running: Running,
        *,
        since: datetime | None,
        wrote: Callable[[Written], None],
    ) -> None:
        self._engine = engine
        self._container = container
        self._assembler = Assembler(running)
        self._wrote = wrote
        # The kept time has microseconds, the engine's nanoseconds: all of that microsecond was seen.
        seen_ns = 0 if since is None else int(since.timestamp() * 10**6) * 1000 + 999
        # Times only grow within one stream: each has its own writer in the engine.
        self._seen_ns = {"stdout": seen_ns, "stderr": seen_ns}
        self._ended = asyncio.Event()

    def become(self, running: Running) -> None:
        self._assembler.become(running)

    async def follow(self) -> None:
        """Until `finish`, or cancelled, or the container is gone."""
        failures = 0
        while not self._ended.is_set():
            before = dict(self._seen_ns)
            try:
                await self._read(follow=True)
            except EngineRefusalError as error:
                if error.status in _GONE:
                    return
                log.warning(
                    "a container's log cannot be read", container=self._container, error=error.message
                )
            except PlatError as error:
                log.debug("a container's log was cut off", container=self._container, error=error.detail)
            failures = 0 if self._seen_ns != before else failures + 1
            with suppress(TimeoutError):
                async with asyncio.timeout(backoff_s(failures, random.random())):  # noqa: S311
                    await self._ended.wait()

    async def finish(self, follower: asyncio.Task[None]) -> None:
        """The last lines of a container that has ended. Raises PlatError `engine_unavailable`."""
        self._ended.set()
        await asyncio.wait([follower], timeout=LAST_LINES_S)
        await cancel(follower)
        try:
            await self._read(follow=False)
        except EngineRefusalError as error:
            if error.status not in _GONE:
                log.warning(
                    "a container's last lines are lost", container=self._container, error=error.message
                )
        for written in self._assembler.rest(max(self._seen_ns.values())):
            self._wrote(written)

    async def _read(self, *, follow: bool) -> None:
        seen_ns = dict(self._seen_ns)
        since_ns = min(seen_ns.values())
        params = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": str(int(follow))}
        if since_ns:
            params["since"] = f"{since_ns // 10**9}.{since_ns % 10**9:09d}"
        async with self._engine.stream(f"containers/{self._container}/logs", params) as stream:
            async for piece in _pieces(stream):
                if piece.time_ns <= seen_ns[piece.stream]:
                    continue
                self._seen_ns[piece.stream] = piece.time_ns
                if (written := self._assembler.add(piece)) is not None:
                    self._wrote(written)


async def _pieces(stream: StreamReader) -> AsyncIterator[Piece]:
    """Ends where the stream ends, also in the middle of a frame."""
    try:
        while True:
            number, length = FRAME.unpack(await stream.readexactly(FRAME.size))
            if length > FRAME_LIMIT_BYTES:
                raise EngineRefusalError(502, f"a frame of {length} bytes: this is no log stream")
            piece = parse_piece(number, await stream.readexactly(length))
            if piece is not None:
                yield piece
    except asyncio.IncompleteReadError:
        return
