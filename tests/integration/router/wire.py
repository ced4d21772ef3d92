"""HTTP/1.1 byte by byte, as a test's client or instance sees it. Trusts nothing of the router's code."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

WAIT_S = 20.0
"""Of every wait in these tests: long enough for a loaded machine, and a failure, not a pass, when over."""


class Message:
    """A request or an answer: start line, headers as they came, and the body."""

    def __init__(self, head: bytes) -> None:
        start, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        self.start = start
        self.headers = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        self.body = b""
        self.interim: list[Message] = []

    def all(self, name: str) -> list[str]:
        wanted = name.lower().encode()
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == wanted]

    def get(self, name: str) -> str | None:
        """The one header of that name. Fails if there are several."""
        values = self.all(name)
        assert len(values) <= 1, values
        return values[0] if values else None

    @property
    def status(self) -> int:
        return int(self.start.split(b" ")[1])

    @property
    def target(self) -> bytes:
        return self.start.split(b" ")[1]

    @property
    def method(self) -> bytes:
        return self.start.split(b" ")[0]


class Wire:
    """One connection, from either end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(WAIT_S):
            await self.writer.drain()

    async def head(self) -> Message:
        """The next head. IncompleteReadError if the connection ends before it."""
        async with asyncio.timeout(WAIT_S):
            return Message(await self.reader.readuntil(b"\r\n\r\n"))

    async def request(self) -> Message:
        message = await self.head()
        message.body = await self.body(message)
        return message

    async def answer(self, *, to: str = "GET") -> Message:
        """The final answer, with the interim ones before it."""
        interim = []
        while (message := await self.head()).status < 200 and message.status != 101:
            interim.append(message)
        message.interim = interim
        if to != "HEAD" and message.status not in (101, 204, 304):
            message.body = await self.body(message, until_end=True)
        return message

    async def body(self, message: Message, *, until_end: bool = False) -> bytes:
        if message.get("Transfer-Encoding") == "chunked":
            return b"".join([chunk async for chunk in self.chunks()])
        length = message.get("Content-Length")
        async with asyncio.timeout(WAIT_S):
            if length is not None:
                return await self.reader.readexactly(int(length))
            return await self.reader.read() if until_end else b""

    async def chunk(self) -> bytes:
        """The next chunk; empty is the last."""
        async with asyncio.timeout(WAIT_S):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            data = await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
            return data

    async def chunks(self) -> AsyncIterator[bytes]:
        while chunk := await self.chunk():
            yield chunk

    async def chunked(self, count: int) -> bytes:
        """The next `count` bytes, in however many chunks; the last ends with them."""
        data = b""
        while len(data) < count:
            data += await self.chunk()
        return data

    async def ended(self) -> bytes:
        """What still comes until the other side has closed; a reset is an end too."""
        rest = b""
        async with asyncio.timeout(WAIT_S):
            try:
                while data := await self.reader.read(65_536):
                    rest += data
            except ConnectionError:
                return rest
        return rest

    async def close(self) -> None:
        self.writer.close()
        try:
            async with asyncio.timeout(WAIT_S):
                await self.writer.wait_closed()
        except ConnectionError:
            return

    def abort(self) -> None:
        self.writer.transport.abort()


async def until(holds: Callable[[], bool]) -> None:
    """Look again and again until it holds."""
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, "it did not become true in time"
        await asyncio.sleep(0.002)
