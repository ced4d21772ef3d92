"""HTTP/1.1 messages as bytes: request heads and bodies in, response heads and bodies out.

Strict (RFC 9112): what can be read in two ways is refused. Knows no sockets and no functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus

HEAD_LIMIT_BYTES = 64 * 1024
"""A request head, and the trailers of a chunked body; common servers allow 8 to 64 KiB."""

CHUNKED = -1
"""`Request.length` of a body whose length is told chunk by chunk."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rf"({_TOKEN}) (/[\x21-\x7e\x80-\xff]*|\*) HTTP/1\.([01])")
_FIELD = re.compile(rf"({_TOKEN}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)\r\n")
_FIELDS = re.compile(rf"(?:{_TOKEN}:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*")
_NAME = re.compile(_TOKEN)
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")

_HOP_BY_HOP = frozenset(
    {"connection", "content-length", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}
)
"""Headers about one connection: the runtime sets them itself."""


class BadRequestError(Exception):
    """The request cannot be read: answer `status` and close."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.status = status


class Request:
    """A request head. `path` and `query` are as they came (percent-encoded)."""

    __slots__ = ("fields", "is_http11", "keep_alive", "length", "method", "pairs", "path", "query")

    def __init__(self, method: str, target: str, is_http11: bool, pairs: list[tuple[str, str]]) -> None:
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.is_http11 = is_http11
        self.pairs = pairs
        self.fields = _joined(pairs)
        self.length = _length(self.fields, is_http11)
        connection = self.fields.get("connection")
        self.keep_alive = is_http11 and (connection is None or "close" not in _items(connection))

    @property
    def expects_continue(self) -> bool:
        return self.length != 0 and self.fields.get("expect", "").lower() == "100-continue"

    @property
    def is_websocket(self) -> bool:
        return (
            self.fields.get("upgrade", "").lower() == "websocket"
            and "upgrade" in _items(self.fields.get("connection", ""))
            and self.method == "GET"
        )


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Lower-case names; what came several times is joined (RFC 9110, 5.3; cookies: RFC 6265, 5.4)."""
    fields: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        if key in fields:
            fields[key] += ("; " if key == "cookie" else ", ") + value.rstrip(" \t")
        else:
            fields[key] = value.rstrip(" \t")
    return fields


def _items(value: str) -> list[str]:
    return [item.strip().lower() for item in value.split(",")]


def _length(fields: dict[str, str], is_http11: bool) -> int:
    length = fields.get("content-length")
    coding = fields.get("transfer-encoding")
    if coding is not None:
        if length is not None:
            raise BadRequestError("Both Content-Length and Transfer-Encoding are set.")
        if not is_http11 or coding.lower() != "chunked":
            raise BadRequestError(f'Transfer-Encoding "{coding}" is not understood; expected chunked.', 501)
        return CHUNKED
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise BadRequestError(f'Content-Length "{length}" is not a number.')
    return int(length)


def head_end(data: bytes | bytearray) -> int:
    """The index behind the head's empty line; -1 if it has not come yet."""
    end = data.find(b"\r\n\r\n", 0, HEAD_LIMIT_BYTES)
    if end >= 0:
        return end + 4
    if len(data) >= HEAD_LIMIT_BYTES:
        raise BadRequestError(f"The request head is longer than {HEAD_LIMIT_BYTES} bytes.", 431)
    return -1


def parse_head(head: bytes) -> Request:
    """Read a head that ends with its empty line. Raises BadRequestError."""
    line, _, fields = head[:-2].decode("latin-1").partition("\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise BadRequestError("The request line is not one of HTTP/1.1.")
    if _FIELDS.fullmatch(fields) is None:
        raise BadRequestError("A header field is not one of HTTP/1.1.")
    return Request(match[1], match[2], match[3] == "1", _FIELD.findall(fields))


class LengthBody:
    """A body of known length."""

    __slots__ = ("done", "left")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """What of `data` is body, and what comes behind the body."""
        if len(data) <= self.left:
            self.left -= len(data)
            self.done = self.left == 0
            return data, b""
        body, rest = data[: self.left], data[self.left :]
        self.left, self.done = 0, True
        return body, rest


class ChunkedBody:
    """A chunked body (RFC 9112, 7.1). Extensions and trailers are read and dropped."""

    __slots__ = ("_buffer", "_left", "_step", "_trailers", "done")

    def __init__(self) -> None:
        self.done = False
        self._buffer = bytearray()
        self._left = 0
        self._trailers = 0
        self._step: Callable[[list[bytes]], bool] = self._size

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """What of `data` is body, and what comes behind the body. Raises BadRequestError."""
        self._buffer += data
        pieces: list[bytes] = []
        while not self.done and self._step(pieces):
            pass
        if not self.done:
            return b"".join(pieces), b""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return b"".join(pieces), rest

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT_BYTES:
                raise BadRequestError("A line of the chunked body is too long.")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _size(self, _pieces: list[bytes]) -> bool:
        line = self._line()
        if line is None:
            return False
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise BadRequestError("A chunk's size is not a hexadecimal number.")
        self._left = int(match[1], 16)
        self._step = self._data if self._left else self._trailer
        return True

    def _data(self, pieces: list[bytes]) -> bool:
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: len(piece)]
        pieces.append(piece)
        self._left -= len(piece)
        if self._left:
            return False
        self._step = self._data_end
        return True

    def _data_end(self, _pieces: list[bytes]) -> bool:
        if len(self._buffer) < 2:
            return False
        if self._buffer[:2] != b"\r\n":
            raise BadRequestError("A chunk is longer than its size says.")
        del self._buffer[:2]
        self._step = self._size
        return True

    def _trailer(self, _pieces: list[bytes]) -> bool:
        line = self._line()
        if line is None:
            return False
        self._trailers += len(line)
        if self._trailers > HEAD_LIMIT_BYTES:
            raise BadRequestError("The trailers of the chunked body are too long.", 431)
        if line and not _FIELDS.fullmatch(line.decode("latin-1") + "\r\n"):
            raise BadRequestError("A trailer field is not one of HTTP/1.1.")
        self.done = not line
        return True


def body_of(request: Request) -> LengthBody | ChunkedBody:
    return ChunkedBody() if request.length == CHUNKED else LengthBody(request.length)


class Response:
    """A whole answer. `headers` are checked when they are written."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_OK = {
    kind: f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: "
    for kind in ("application/json", "text/plain; charset=utf-8", "application/octet-stream")
}


def _start(status: int, headers: list[tuple[str, str]]) -> str:
    """Status line and checked headers. Raises ValueError on what HTTP cannot carry."""
    if not 100 <= status <= 999:
        raise ValueError(f"{status} is not an HTTP status; expected 100 to 999")
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"]
    for name, value in headers:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"the header {name!r}: {value!r} is not one that HTTP can carry")
        if name.lower() not in _HOP_BY_HOP:
            lines.append(f"{name}: {value}\r\n")
    return "".join(lines)


def _encoded(head: str) -> bytes:
    """Header values are Latin-1 on the wire; what does not fit goes as UTF-8, as browsers read it."""
    try:
        return head.encode("latin-1")
    except UnicodeEncodeError:
        return head.encode()


def has_no_body(status: int) -> bool:
    return status in (204, 304) or status < 200


def encode(response: Response, *, is_head: bool, close: bool) -> bytes:
    """A whole answer with its length. Raises ValueError on what HTTP cannot carry."""
    status, headers, body = response.status, response.headers, response.body
    end = "\r\nconnection: close\r\n\r\n" if close else "\r\n\r\n"
    if status == 200 and len(headers) == 1 and headers[0][0] == "content-type" and headers[0][1] in _OK:
        head = f"{_OK[headers[0][1]]}{len(body)}{end}".encode("ascii")  # nothing to check: faster by 2 us
    elif has_no_body(status):
        return _encoded(_start(status, headers) + end[2:])
    else:
        head = _encoded(f"{_start(status, headers)}content-length: {len(body)}{end}")
    return head if is_head else head + body


def upgrade_head(headers: list[tuple[str, str]]) -> bytes:
    """The answer that turns the connection into another protocol's; `headers` name it."""
    for name, value in headers:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"the header {name!r}: {value!r} is not one that HTTP can carry")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return _encoded(f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n")


class ResponseStream:
    """The bytes of an answer that comes piece by piece. `length` None: chunked, or until the close."""

    __slots__ = ("_chunked", "_left", "_silent", "head", "keep_alive")

    def __init__(
        self,
        request: Request,
        status: int,
        headers: list[tuple[str, str]],
        *,
        length: int | None,
        close: bool,
    ) -> None:
        """Raises ValueError on what HTTP cannot carry."""
        empty = has_no_body(status)
        self._silent = empty or request.method == "HEAD"
        self._chunked = length is None and not empty and request.is_http11
        self._left = length
        until_close = length is None and not empty and not request.is_http11
        self.keep_alive = not (close or until_close)
        start = _start(status, headers)
        if self._chunked:
            start += "transfer-encoding: chunked\r\n"
        elif length is not None and not empty:
            start += f"content-length: {length}\r\n"
        self.head = _encoded(start + ("\r\n" if self.keep_alive else "connection: close\r\n\r\n"))

    def data(self, piece: bytes) -> bytes:
        """Raises ValueError when there is more than the announced length."""
        if self._silent or not piece:
            return b""
        if self._left is not None:
            self._left -= len(piece)
            if self._left < 0:
                raise ValueError("the answer is longer than its Content-Length")
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece

    def end(self) -> bytes:
        """Raises ValueError when there was less than the announced length."""
        if self._silent:
            return b""
        if self._left:
            raise ValueError(f"the answer is {self._left} bytes shorter than its Content-Length")
        return b"0\r\n\r\n" if self._chunked else b""
