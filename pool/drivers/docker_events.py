"""The engine's events about containers with our labels, watched for ever.

After every gap the driver lists everything: an event that was lost cannot stay lost.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiohttp import StreamReader

from plat.errors import PlatError
from plat.logs import get_logger
from pool.drivers.docker_engine import Engine, EngineRefusalError, Json

log = get_logger(__name__)

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 5.0
EVENTS = ("start", "die", "oom", "destroy")


class Event(NamedTuple):
    """`attributes`: the container's labels, its name, image, and `exitCode` where it died."""

    action: str
    container: str
    attributes: dict[str, str]


def parse(line: bytes) -> Event | None:
    """None: not about a container, or not a whole line."""
    try:
        content: Json = json.loads(line)
        actor = content["Actor"]
        return Event(content["Action"], actor["ID"], actor["Attributes"])
    except (ValueError, KeyError, TypeError):
        return None


def backoff_s(failures: int, random_part: float) -> float:
    """Doubles from 0.1 s to 5 s; `random_part` (0 to 1) takes up to half of it away."""
    longest = min(FIRST_BACKOFF_S * 2 ** min(failures, 16), LONGEST_BACKOFF_S)
    return float(longest * (1 - random_part / 2))


class EventWatch:
    """Events are handed on as they are read, so nothing piles up here: the connection is the queue.

    `connected` is awaited at the start of each stream, before its first event is looked at. Events
    that come meanwhile wait in the connection, so nothing falls between listing and watching.
    """

    def __init__(
        self,
        engine: Engine,
        label: str,
        connected: Callable[[], Awaitable[None]],
        seen: Callable[[Event], None],
    ) -> None:
        self._engine = engine
        self._label = label
        self._connected = connected
        self._seen = seen
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled. The stream's end is a gap, however it looks."""
        while True:
            try:
                await self._follow()
                log.warning("the Docker engine ended its event stream")
            except (PlatError, EngineRefusalError, ValueError) as error:  # ValueError: a line over the limit
                if self._failures == 0:
                    log.warning("the Docker engine cannot be watched; trying again", error=str(error))
            await asyncio.sleep(backoff_s(self._failures, random.random()))  # noqa: S311
            self._failures += 1

    async def _follow(self) -> None:
        filters = {"type": ["container"], "event": list(EVENTS), "label": [self._label]}
        async with self._engine.stream("events", {"filters": json.dumps(filters)}) as stream:
            await self._connected()
            if self._failures:
                log.info("the Docker engine is watched again")
            self._failures = 0
            await self._read(stream)

    async def _read(self, stream: StreamReader) -> None:
        while line := await stream.readline():
            event = parse(line)
            if event is None:
                log.warning("an event of the Docker engine cannot be read", line=repr(line[:200]))
                continue
            self._seen(event)
