"""Instances that do exactly what a test wants: a raw server on a unix socket."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.integration.router.wire import WAIT_S, Message, Wire

Behaviour = Callable[[Wire, Message], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def say_ok(wire: Wire, request: Message) -> None:
    await wire.send(OK)


def says(answer: bytes) -> Behaviour:
    async def behave(wire: Wire, request: Message) -> None:
        await wire.send(answer)

    return behave


class Instance:
    """Serves until closed. A behaviour that returns leaves the connection open for the next request."""

    def __init__(self, path: Path, behave: Behaviour) -> None:
        self._path = path
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.behave = behave
        self.requests: list[Message] = []
        self.connections = 0
        self.open = 0
        self.in_call = 0
        self.most_in_call = 0
        self.read_body = True

    @property
    def address(self) -> str:
        return f"unix:{self._path}"

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._accept, self._path, limit=1 << 20)

    async def stop(self) -> None:
        """As if killed: nothing listens, every connection is cut."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(Wire(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, wire: Wire) -> None:
        self.connections += 1
        self.open += 1
        try:
            while True:
                # No deadline: an idle connection waits for ever.
                request = Message(await wire.reader.readuntil(b"\r\n\r\n"))
                await self._call(wire, request)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open -= 1
            wire.abort() if wire.writer.transport.is_closing() else wire.writer.close()

    async def _call(self, wire: Wire, request: Message) -> None:
        self.in_call += 1
        self.most_in_call = max(self.most_in_call, self.in_call)
        try:
            if self.read_body:
                request.body = await wire.body(request)
            self.requests.append(request)
            await self.behave(wire, request)
        finally:
            self.in_call -= 1


class Gate:
    """Holds calls until the test opens it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.waiting = 0

    def open(self) -> None:
        self._event.set()

    async def pass_through(self) -> None:
        self.waiting += 1
        try:
            async with asyncio.timeout(WAIT_S):
                await self._event.wait()
        finally:
            self.waiting -= 1

    async def then_ok(self, wire: Wire, request: Message) -> None:
        await self.pass_through()
        await wire.send(OK)
