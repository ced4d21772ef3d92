"""WebSocket frames (RFC 6455), the server's side, as bytes: no sockets, no extensions."""

from __future__ import annotations

import base64
import hashlib

_KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MESSAGE_LIMIT_BYTES = 16 * 1024 * 1024

NORMAL, PROTOCOL_ERROR, NO_STATUS, ABNORMAL, BAD_DATA, TOO_BIG, INTERNAL = (
    1000,
    1002,
    1005,
    1006,
    1007,
    1009,
    1011,
)


class FrameError(Exception):
    """The peer broke the protocol: close with `code`."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Event:
    """A whole message or a control frame. `payload` is checked UTF-8 for TEXT; for CLOSE it is the reason."""

    __slots__ = ("code", "kind", "payload")

    def __init__(self, kind: int, payload: bytes, code: int = 0) -> None:
        self.kind = kind
        self.payload = payload
        self.code = code


def accept_key(key: str) -> str:
    """`Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455, 4.2.2)."""
    digest = hashlib.sha1(key.encode("latin-1") + _KEY_SUFFIX)
    return base64.b64encode(digest.digest()).decode()


def is_key(key: str) -> bool:
    """16 bytes in Base64 (RFC 6455, 4.1)."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        return False


def encode(kind: int, payload: bytes) -> bytes:
    """One unmasked, final frame."""
    length = len(payload)
    if length < 126:
        head = bytes((0x80 | kind, length))
    elif length < 65_536:
        head = bytes((0x80 | kind, 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((0x80 | kind, 127)) + length.to_bytes(8, "big")
    return head + payload


def encode_close(code: int, reason: str = "") -> bytes:
    """A control frame holds 125 bytes: a longer reason is cut at a character."""
    if code == NO_STATUS:
        return encode(CLOSE, b"")
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return encode(CLOSE, code.to_bytes(2, "big") + text)


def unmask(payload: bytes, mask: bytes) -> bytes:
    """XOR with the repeated mask, as one big number: 100 times faster than byte by byte."""
    count = len(payload)
    key = (mask * (count // 4 + 1))[:count]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(count, "big")


class FrameReader:
    """Bytes in, events out."""

    def __init__(self, limit_bytes: int = MESSAGE_LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._buffer = bytearray()
        self._kind: int | None = None
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now. Raises FrameError; nothing can be read after that."""
        self._buffer += data
        events = []
        while (frame := self._frame()) is not None:
            event = self._event(*frame)
            if event is not None:
                events.append(event)
        return events

    def _frame(self) -> tuple[int, bool, bytes] | None:
        """The next frame as (opcode, is final, payload), if it is here whole."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        kind, is_final = buffer[0] & 0x0F, bool(buffer[0] & 0x80)
        self._check_head(kind, is_final, buffer[0], buffer[1])
        start, length = _length(buffer)
        if length is None:
            return None
        if length + self._size > self._limit:
            raise FrameError(TOO_BIG, f"the message is longer than {self._limit} bytes")
        end = start + 4 + length
        if len(buffer) < end:
            return None
        payload = unmask(bytes(buffer[start + 4 : end]), bytes(buffer[start : start + 4]))
        del buffer[:end]
        return kind, is_final, payload

    def _check_head(self, kind: int, is_final: bool, first: int, second: int) -> None:
        if first & 0x70:
            raise FrameError(PROTOCOL_ERROR, "a reserved bit is set")
        if kind not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise FrameError(PROTOCOL_ERROR, f"the opcode {kind} is not known")
        if not second & 0x80:
            raise FrameError(PROTOCOL_ERROR, "a frame of a client is not masked")
        if kind >= CLOSE and (not is_final or second & 0x7F > 125):
            raise FrameError(PROTOCOL_ERROR, "a control frame is in pieces or too long")
        if kind in (TEXT, BINARY) and self._kind is not None:
            raise FrameError(PROTOCOL_ERROR, "a new message begins within another")
        if kind == CONTINUATION and self._kind is None:
            raise FrameError(PROTOCOL_ERROR, "there is no message to continue")

    def _event(self, kind: int, is_final: bool, payload: bytes) -> Event | None:
        if kind == CLOSE:
            return _close_event(payload)
        if kind in (PING, PONG):
            return Event(kind, payload)
        if kind != CONTINUATION:
            self._kind = kind
        self._parts.append(payload)
        self._size += len(payload)
        return self._message() if is_final else None

    def _message(self) -> Event:
        assert self._kind is not None
        message = Event(self._kind, b"".join(self._parts))
        self._kind, self._parts, self._size = None, [], 0
        if message.kind == TEXT:
            _check_text(message.payload)
        return message


def _length(buffer: bytearray) -> tuple[int, int | None]:
    """Where the mask starts and the payload's length; None: not here yet. Raises FrameError."""
    short = buffer[1] & 0x7F
    size = {126: 2, 127: 8}.get(short, 0)
    if len(buffer) < 2 + size:
        return 2 + size, None
    length = int.from_bytes(buffer[2 : 2 + size], "big") if size else short
    if (size == 2 and length < 126) or (size == 8 and not 65_536 <= length < 2**63):
        raise FrameError(PROTOCOL_ERROR, "a length is not written in its shortest form")
    return 2 + size, length


def _check_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        raise FrameError(BAD_DATA, "a text is not UTF-8") from error


def _close_event(payload: bytes) -> Event:
    if not payload:
        return Event(CLOSE, b"", NO_STATUS)
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not is_close_code(code):
        raise FrameError(PROTOCOL_ERROR, "a close frame has no valid code")
    _check_text(payload[2:])
    return Event(CLOSE, payload[2:], code)


def is_close_code(code: int) -> bool:
    """What may stand in a close frame (RFC 6455, 7.4, and the registry)."""
    return (1000 <= code <= 1014 and code not in (1004, NO_STATUS, ABNORMAL)) or 3000 <= code <= 4999
