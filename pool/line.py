"""One connection to an instance for one question: opened when it is needed, or ahead of time.

Knows just enough HTTP/1.1 for the answers of our runtimes and the health checks of others.
"""

import asyncio
import re
from typing import NamedTuple, Self, cast

from plat.address import Address

HEAD_LIMIT_BYTES = 16 * 1024
BODY_LIMIT_BYTES = 1024 * 1024

EMPTY_LINE = b"\r\n"
"""RFC 9112, 2.2."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*(?=\r\n)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)


class Unreachable(ConnectionError):  # noqa: N818 - it is a ConnectionError, which says it
    """Nothing listens at the address."""


class NoAnswerError(Exception):
    """The connection ended, or what came was not HTTP."""


class Answer(NamedTuple):
    status: int
    body: bytes


class Line(asyncio.Protocol):
    """`close` it, whatever has happened."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[Answer] | None = None
        self._is_lost = False
        self.takes_notice = False
        """Whether the other end gets ready when a question is announced."""

    @classmethod
    async def open(cls, address: Address) -> Self:
        """Cancelling is safe. Raises Unreachable."""
        loop = asyncio.get_running_loop()
        try:
            if address.path:
                _, line = await loop.create_unix_connection(cls, address.path)
            else:
                _, line = await loop.create_connection(cls, address.host, address.port)
        except OSError as error:
            raise Unreachable(f"{address}: {error}") from error
        return line

    async def ask(self, request: bytes) -> Answer:
        """Once. Cancelled, the line is of no use any more. Raises NoAnswerError."""
        assert self._transport is not None and self._answer is None, "a line takes one question"
        self._answer = asyncio.get_running_loop().create_future()
        if self._is_lost:
            self._fail("the connection was closed without an answer")
        else:
            self._transport.write(request)
        return await self._answer

    def announce(self) -> None:
        """A question is about to come: an empty line before one means nothing else."""
        if self.takes_notice and self._transport is not None and not self._is_lost:
            self._transport.write(EMPTY_LINE)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by type

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            return
        self._received += data
        try:
            answer = self._read()
        except NoAnswerError as error:
            self._fail(str(error))
        else:
            if answer is not None:
                self._answer.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        self._fail("the connection was closed without an answer")

    # --- inside

    def _fail(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(NoAnswerError(why))

    def _read(self) -> Answer | None:
        """None: more must come. Interim answers (1xx) are skipped. Raises NoAnswerError."""
        while (end := self._received.find(b"\r\n\r\n") + 4) >= 4:
            status, length = parse_head(self._received[:end])
            if status >= 200:
                body = self._received[end:]
                if length is None:
                    return Answer(status, b"")
                return Answer(status, body[:length]) if len(body) >= length else None
            self._received = self._received[end:]
        if len(self._received) > HEAD_LIMIT_BYTES:
            raise NoAnswerError(f"its head is over {HEAD_LIMIT_BYTES} bytes")
        return None


def parse_head(head: bytes) -> tuple[int, int | None]:
    """Status and body length; a length of None: chunked or until the end, which no runtime of ours sends.

    Raises NoAnswerError for what is not HTTP.
    """
    match = _STATUS_LINE.match(head)
    if match is None:
        raise NoAnswerError(f"it is not HTTP/1.1 ({head[:40]!r})")
    lengths = set(_LENGTH.findall(head))
    if _CHUNKED.search(head) or not lengths:
        return int(match[1]), None
    if len(lengths) > 1 or int(min(lengths)) > BODY_LIMIT_BYTES:
        raise NoAnswerError("its Content-Length is contradictory or too large")
    return int(match[1]), int(min(lengths))
