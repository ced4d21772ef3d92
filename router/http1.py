"""HTTP/1.1 as an instance may speak it: strict patterns for heads, chunks and lengths (RFC 9112).

Decides only. Whatever an instance sends that two parsers could read in two ways is refused.
"""

import re
from typing import NamedTuple

HEAD_LIMIT_BYTES = 64 * 1024
"""Largest response head; nginx's default is 4 to 8 KB, Node's 16 KB."""

INTERIM_LIMIT = 100
"""Most interim answers (1xx) to one request."""

_TRAILER_LIMIT_BYTES = 8 * 1024
_CHUNK_LINE_LIMIT_BYTES = 256

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_VALUE = rb"[\t \x21-\x7e\x80-\xff]*"
_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ("
    + _VALUE
    + rb"))?\r\n((?:"
    + _TOKEN
    + rb":"
    + _VALUE
    + rb"\r\n)*)\r\n"
)
_FIELD = re.compile(_TOKEN + rb":" + _VALUE)
_LENGTH = re.compile(rb"[0-9]{1,18}")
_TABBED_ENCODING = re.compile(rb"^transfer-encoding:[^\r\n]*\t", re.IGNORECASE | re.MULTILINE)
"""Allowed, but llhttp (Node, aiohttp) does not take `chunked<tab>` for chunked."""

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;" + _VALUE + rb")?")

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers of one connection only, never forwarded (RFC 9110, 7.6.1), in lower case."""

Headers = list[tuple[bytes, bytes]]


class BadResponseError(Exception):
    """What the instance sent is not an HTTP/1.1 answer that every parser reads the same way."""


class ResponseHead(NamedTuple):
    status: int
    reason: bytes
    headers: Headers
    """As they came: order and case kept, hop-by-hop headers included. Without the Content-Length of an
    answer that has no body by its status alone (101, 204): it is forbidden, and some would believe it."""
    length: int | None
    """Bytes of the body; None: chunked or to the end of the connection."""
    chunked: bool
    keep_alive: bool

    @property
    def interim(self) -> bool:
        return self.status < 200


def parse_head(data: bytes, request_method: str) -> ResponseHead:
    """A whole head, with its empty line. Raises BadResponseError."""
    _check_size(data)
    match = _HEAD.fullmatch(data)
    if match is None:
        raise BadResponseError(f"the answer does not begin with a valid HTTP/1.1 head: {data[:80]!r}")
    minor, status_text, reason, lines = match.groups()
    status = int(status_text)
    headers = [_split(line) for line in lines.split(b"\r\n")[:-1]]
    connection = _connection_options(headers)
    keep_alive = b"close" not in connection and (minor == b"1" or b"keep-alive" in connection)
    length, chunked = _framing(headers)
    if chunked and (minor == b"0" or (b"\t" in lines and _TABBED_ENCODING.search(lines))):
        raise BadResponseError("Transfer-Encoding with a tab, or in an HTTP/1.0 answer")
    if status < 200:
        _check_interim(status, keep_alive=keep_alive, has_body=chunked or length is not None)
    if status in (101, 204):
        headers = [pair for pair in headers if pair[0].lower() != b"content-length"]
    if request_method == "HEAD" or status < 200 or status in (204, 304):
        length, chunked = 0, False
    return ResponseHead(status, reason or b"", headers, length, chunked, keep_alive)


def _check_interim(status: int, *, keep_alive: bool, has_body: bool) -> None:
    """101 may say what it likes of a length: after it, the protocol is another one."""
    if not keep_alive:
        raise BadResponseError("an interim answer that ends the connection")
    if has_body and status != 101:
        raise BadResponseError("an interim answer with a body")


def check_beginning(data: bytes | bytearray, seen: int = 0) -> None:
    """Raises BadResponseError for what can never become a head, however much more comes.

    `seen`: so many bytes of it have been checked before, and are not looked at again.
    """
    _check_size(data)
    if not data.startswith(b"HTTP/1."[: len(data)]) or data.find(b"\n\n", max(0, seen - 1)) >= 0:
        beginning = bytes(data[:80])
        raise BadResponseError(f"the answer does not begin with a valid HTTP/1.1 head: {beginning!r}")


def _check_size(head: bytes | bytearray) -> None:
    if len(head) > HEAD_LIMIT_BYTES:
        raise BadResponseError(f"the answer's head is longer than {HEAD_LIMIT_BYTES} bytes")


def _split(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.strip(b" \t")


def _framing(headers: Headers) -> tuple[int | None, bool]:
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    encodings = [value for name, value in headers if name.lower() == b"transfer-encoding"]
    if encodings:
        if lengths or [each.lower() for each in encodings] != [b"chunked"]:
            raise BadResponseError(f"Transfer-Encoding {encodings} with Content-Length {lengths}")
        return None, True
    if not lengths:
        return None, False
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise BadResponseError(f"Content-Length {lengths}")
    return int(lengths[0]), False


def _connection_options(headers: Headers) -> set[bytes]:
    values = [value.lower() for name, value in headers if name.lower() == b"connection"]
    return {option.strip() for value in values for option in value.split(b",")}


def end_to_end(headers: Headers, but: frozenset[bytes] = frozenset()) -> Headers:
    """The headers to forward: without hop-by-hop ones, those that Connection names, and `but`.

    Connection cannot take away the length: the message would be one without an end.
    """
    left_out = HOP_BY_HOP | (_connection_options(headers) - {b"content-length"}) | but
    return [(name, value) for name, value in headers if name.lower() not in left_out]


def write_request_head(method: str, target: str, headers: Headers) -> bytes:
    start = f"{method} {target} HTTP/1.1".encode("utf-8", "surrogateescape")
    return _write_head(start, headers)


def write_response_head(status: int, reason: bytes, headers: Headers) -> bytes:
    return _write_head(b"HTTP/1.1 %d %b" % (status, reason), headers)


def _write_head(start: bytes, headers: Headers) -> bytes:
    lines = [start]
    lines += [name + b": " + value for name, value in headers]
    lines += [b"", b""]
    return b"\r\n".join(lines)


def write_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


class LengthBody:
    """A body of a known length."""

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def complete(self) -> bool:
        return self._left == 0

    def feed(self, buffer: bytearray) -> bytes:
        """The next piece of the body, taken off the buffer's front; empty if there is none yet."""
        piece = bytes(buffer[: self._left])
        del buffer[: len(piece)]
        self._left -= len(piece)
        return piece

    def end(self) -> None:
        if self._left:
            raise BadResponseError(f"the answer ended {self._left} bytes early")


class StreamBody:
    """A body to the end of the connection."""

    complete = False

    def feed(self, buffer: bytearray) -> bytes:
        piece = bytes(buffer)
        buffer.clear()
        return piece

    def end(self) -> None:
        self.complete = True


class ChunkedBody:
    """A chunked body (RFC 9112, 7.1). Extensions and trailers are read and dropped."""

    def __init__(self) -> None:
        self._left = 0
        """Bytes of the current chunk, its line break included; 0: a size line is next."""
        self._trailer_bytes = 0
        self._in_trailer = False
        self.complete = False

    def feed(self, buffer: bytearray) -> bytes:
        pieces = []
        while not self.complete and buffer:
            if self._left:
                pieces.append(self._take_data(buffer))
                if self._left:
                    break
            elif not self._take_line(buffer):
                break
        return b"".join(pieces)

    def end(self) -> None:
        if not self.complete:
            raise BadResponseError("the answer ended within a chunked body")

    def _take_data(self, buffer: bytearray) -> bytes:
        data = bytes(buffer[: max(0, self._left - 2)])
        del buffer[: len(data)]
        self._left -= len(data)
        if self._left == 2 and len(buffer) >= 2:
            if buffer[:2] != b"\r\n":
                raise BadResponseError(f"a chunk ends with {bytes(buffer[:2])!r}, not with a line break")
            del buffer[:2]
            self._left = 0
        return data

    def _take_line(self, buffer: bytearray) -> bool:
        end = buffer.find(b"\r\n")
        if end < 0:
            if len(buffer) > _TRAILER_LIMIT_BYTES:
                raise BadResponseError("a chunk size or trailer line is too long")
            return False
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        if self._in_trailer:
            self._take_trailer(line)
        else:
            self._take_size(line)
        return True

    def _take_size(self, line: bytes) -> None:
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None or len(line) > _CHUNK_LINE_LIMIT_BYTES:
            raise BadResponseError(f"{line[:40]!r} is no chunk size")
        size = int(match.group(1), 16)
        if size:
            self._left = size + 2
        else:
            self._in_trailer = True

    def _take_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if self._trailer_bytes > _TRAILER_LIMIT_BYTES:
            raise BadResponseError("the trailers are too long")
        framing = line.partition(b":")[0].lower() in (b"content-length", b"transfer-encoding")
        if line and (framing or not _FIELD.fullmatch(line)):
            raise BadResponseError(f"{line[:40]!r} is no trailer")
        self.complete = not line


Body = LengthBody | StreamBody | ChunkedBody


def body_of(head: ResponseHead) -> Body:
    if head.chunked:
        return ChunkedBody()
    return StreamBody() if head.length is None else LengthBody(head.length)
