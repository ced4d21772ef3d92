"""One connection with blocking reads and writes: requests off it, answers onto it."""

from __future__ import annotations

import io
import select
import socket
from collections.abc import Callable

from . import http1

RECEIVE_BYTES = 64 * 1024
_HANG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


class ClientGoneError(Exception):
    """The caller has closed its side: nobody waits for the answer any more."""


class Connection:
    """`is_stopping` tells whether the instance takes no further requests."""

    __slots__ = ("_is_stopping", "buffer", "sock")

    def __init__(self, sock: socket.socket, data: bytes, is_stopping: Callable[[], bool]) -> None:
        sock.setblocking(True)
        self.sock = sock
        self.buffer = data
        self._is_stopping = is_stopping

    def read_head(self) -> http1.Request | None:
        """The next request's head; None when the caller closed between two requests.

        Raises BadRequestError, and ClientGoneError when it closed within a head.
        """
        data = self.buffer or self._receive()
        end = http1.head_end(data)
        while end < 0:
            if not data:
                return None
            more = self._receive()
            if not more:
                raise ClientGoneError
            data += more
            end = http1.head_end(data)
        self.buffer = data[end:]
        return http1.parse_head(data[:end])

    def read_body(self, request: http1.Request) -> bytes:
        """The whole body. Raises BadRequestError and ClientGoneError."""
        if request.length == 0:
            return b""
        if 0 < request.length <= len(self.buffer):
            body, self.buffer = self.buffer[: request.length], self.buffer[request.length :]
            return body
        with io.BytesIO() as whole:
            body_ = Body(self, request)
            while piece := body_.piece():
                whole.write(piece)
            return whole.getvalue()

    def receive(self) -> bytes:
        """Bytes that are here or come next. Raises ClientGoneError at the end."""
        if self.buffer:
            data, self.buffer = self.buffer, b""
            return data
        data = self._receive()
        if not data:
            raise ClientGoneError
        return data

    def _receive(self) -> bytes:
        try:
            return self.sock.recv(RECEIVE_BYTES)
        except ConnectionError as error:
            raise ClientGoneError from error

    def send(self, data: bytes) -> None:
        """Send all. Raises ClientGoneError when the caller leaves; also while it does not read."""
        try:
            sent = self.sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise ClientGoneError from error
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:])

    def _send_rest(self, data: memoryview) -> None:
        poll = select.poll()
        poll.register(self.sock, select.POLLOUT | _HANG_UP)
        while data:
            if any(event & _HANG_UP for _, event in poll.poll()):
                raise ClientGoneError
            try:
                data = data[self.sock.send(data, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise ClientGoneError from error

    def is_gone(self) -> bool:
        """Whether the caller has closed its side; looks, does not wait."""
        if self.buffer:
            return False
        try:
            return not self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def closes_after(self, request: http1.Request) -> bool:
        return not request.keep_alive or self._is_stopping()

    def respond(self, request: http1.Request, response: http1.Response) -> bool:
        """Send a whole answer; whether the connection can take a further request.

        Raises ValueError for what HTTP cannot carry (nothing was sent), and ClientGoneError.
        """
        close = self.closes_after(request)
        self.send(http1.encode(response, is_head=request.method == "HEAD", close=close))
        return not close

    def stream(
        self, request: http1.Request, status: int, headers: list[tuple[str, str]], length: int | None = None
    ) -> http1.ResponseStream:
        """The frames of an answer that comes in pieces. Raises ValueError for what HTTP cannot carry."""
        close = self.closes_after(request)
        return http1.ResponseStream(request, status, headers, length=length, close=close)


class Body(io.RawIOBase):
    """A request's body, read from the connection as it is asked for: bounded memory for any size."""

    def __init__(self, connection: Connection, request: http1.Request) -> None:
        self._connection = connection
        self._decoder = http1.body_of(request)
        self._expects_continue = request.expects_continue
        self._piece = b""

    def piece(self) -> bytes:
        """The next bytes; b"" at the end. Raises BadRequestError and ClientGoneError."""
        while not self._decoder.done:
            if self._expects_continue:
                self._expects_continue = False
                if not self._connection.buffer:
                    self._connection.send(http1.CONTINUE)
            piece, rest = self._decoder.feed(self._connection.receive())
            self._connection.buffer = rest
            if piece:
                return piece
        return b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: bytearray | memoryview) -> int:  # type: ignore[override]
        """A ClientGoneError surfaces as the OSError that readers of files expect."""
        try:
            piece = self._piece or self.piece()
        except ClientGoneError as error:
            raise ConnectionResetError("the caller closed the connection within the body") from error
        count = min(len(piece), len(target))
        target[:count] = piece[:count]
        self._piece = piece[count:]
        return count

    def discard(self) -> bool:
        """Read what the handler left; False when the caller still waits for 100 Continue to send it."""
        if self._expects_continue and not self._decoder.done:
            return False
        self._piece = b""
        while self.piece():
            pass
        return True
