"""One call on an asyncio connection: its body as it comes, its answer as it is written.

Bounded both ways: reading pauses while the handler does not take the body, and `drain` waits while
the caller does not take the answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from . import http1

PAUSE_BYTES = 256 * 1024
RESUME_BYTES = 64 * 1024


class CallerGoneError(OSError):
    """The caller closed its side. An OSError, as ASGI wants it of `send` (spec 2.4)."""


class Line(Protocol):
    """The connection, as an exchange sees it."""

    @property
    def is_stopping(self) -> bool: ...

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def answered(self, exchange: Exchange, keep_alive: bool) -> None: ...

    def cut(self) -> None: ...


class Exchange:
    """`is_answered`: the whole answer was written; the handler may still run after that."""

    def __init__(self, line: Line, request: http1.Request) -> None:
        self.request = request
        self.line = line
        self.is_gone = False
        self.is_answered = False
        self.task: asyncio.Task[None] | None = None
        self.stream: http1.ResponseStream | None = None
        self._decoder = http1.body_of(request)
        self._expects_continue = request.expects_continue
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._is_whole_wanted = False
        self._news: asyncio.Future[None] | None = None

    # --- called by the connection

    @property
    def is_body_complete(self) -> bool:
        return self._decoder.done

    @property
    def has_no_piece(self) -> bool:
        return not self._pieces

    @property
    def needs_continue(self) -> bool:
        """The caller still waits for 100 Continue, and so may never send the body."""
        return self._expects_continue and not self._decoder.done

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the body; what comes behind it. Raises BadRequestError."""
        if self._decoder.done:
            return data
        piece, rest = self._decoder.feed(data)
        if piece and not self.is_answered:
            self._pieces.append(piece)
            self._size += len(piece)
            if self._size > PAUSE_BYTES and not self._is_whole_wanted:
                self.line.pause()
        self._wake()
        return rest

    def caller_left(self) -> None:
        """Cancel the handler; whoever closes waits for its end."""
        self.is_gone = True
        self._wake()
        if self.task is not None and not self.is_answered:
            self.task.cancel()

    def ended(self) -> None:
        """The handler has ended; without a whole answer the connection cannot be used again."""
        if not self.is_answered:
            self.line.cut()

    # --- called by the handler's side

    async def read(self) -> bytes:
        """The next piece of the body; b"" at its end. Safe to cancel. Raises CallerGoneError."""
        while not self._pieces:
            if self._decoder.done:
                return b""
            if self.is_gone:
                raise CallerGoneError("the caller closed the connection within the body")
            self._say_continue()
            await self._wait()
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._size <= RESUME_BYTES:
            self.line.resume()
        return piece

    async def read_all(self) -> bytes:
        """The whole body. Raises CallerGoneError."""
        self._is_whole_wanted = True
        if self._decoder.done and len(self._pieces) <= 1:
            return self._pieces.popleft() if self._pieces else b""
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    async def wait_for_end(self) -> None:
        """Until the caller has left or the answer is complete. Safe to cancel."""
        while not (self.is_gone or self.is_answered):
            await self._wait()

    def respond(self, response: http1.Response) -> None:
        """Write a whole answer. Raises ValueError, nothing written, for what HTTP cannot carry."""
        close = self._closes()
        data = http1.encode(response, is_head=self.request.method == "HEAD", close=close)
        if not self.is_gone:
            self.line.write(data)
            self._complete(not close)

    def begin(self, status: int, headers: list[tuple[str, str]], length: int | None, first: bytes) -> None:
        """Write the head and the first piece. Raises ValueError for what HTTP cannot carry."""
        close = self._closes()
        stream = http1.ResponseStream(self.request, status, headers, length=length, close=close)
        self._write(stream.head + stream.data(first))
        self.stream = stream

    def send(self, piece: bytes) -> None:
        assert self.stream is not None, "begin comes first"
        self._write(self.stream.data(piece))

    def finish(self) -> None:
        """Write the end of a stream. Raises ValueError when the announced length was not reached."""
        assert self.stream is not None, "begin comes first"
        self._write(self.stream.end())
        if not self.is_gone:
            self._complete(self.stream.keep_alive)

    async def drain(self) -> None:
        """Wait until the caller has taken enough. Safe to cancel. Raises CallerGoneError."""
        await self.line.drain()
        if self.is_gone:
            raise CallerGoneError("the caller closed the connection")

    def _closes(self) -> bool:
        return not self.request.keep_alive or self.line.is_stopping or self.needs_continue

    def _write(self, data: bytes) -> None:
        if data and not self.is_gone:
            self.line.write(data)

    def _complete(self, keep_alive: bool) -> None:
        self.is_answered = True
        self._pieces.clear()
        self._wake()
        self.line.answered(self, keep_alive)

    def _say_continue(self) -> None:
        if self._expects_continue and self.stream is None:
            self._expects_continue = False
            self.line.write(http1.CONTINUE)

    async def _wait(self) -> None:
        if self._news is None or self._news.done():
            self._news = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._news)  # several may wait; a cancelled one must not cancel the others

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
