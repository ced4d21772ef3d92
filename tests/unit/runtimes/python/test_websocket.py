import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.python.plat_runtime import websocket
from runtimes.python.plat_runtime.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
)

MASK = b"\x01\x02\x03\x04"


def frame(kind: int, payload: bytes, *, final: bool = True, mask: bytes = MASK) -> bytes:
    """As a client sends it."""
    plain = websocket.encode(kind, payload)
    head = bytearray(plain[: len(plain) - len(payload)])
    head[0] &= 0xFF if final else 0x7F
    head[1] |= 0x80
    return bytes(head) + mask + websocket.unmask(payload, mask)


def read(data: bytes, step: int = 1_000_000) -> list[tuple[int, bytes]]:
    reader, events = FrameReader(), []
    for start in range(0, len(data), step):
        events += [(event.kind, event.payload) for event in reader.feed(data[start : start + step])]
    return events


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("step", [1_000_000, 1000, 1])
def test_messages_of_every_length(size: int, step: int) -> None:
    payload = os.urandom(size)
    assert read(frame(BINARY, payload) + frame(PING, b"p"), step) == [(BINARY, payload), (PING, b"p")]


def test_a_message_in_pieces_with_a_ping_between() -> None:
    data = frame(TEXT, b"\xc3", final=False) + frame(PING, b"p") + frame(CONTINUATION, b"\xa9")
    assert read(data) == [(PING, b"p"), (TEXT, "é".encode())]


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [(b"", 1005, b""), (b"\x03\xe8", 1000, b""), (b"\x0f\xa1bye", 4001, b"bye")],
)
def test_closes(payload: bytes, code: int, reason: bytes) -> None:
    (event,) = FrameReader().feed(frame(CLOSE, payload))
    assert (event.kind, event.code, event.payload) == (CLOSE, code, reason)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (websocket.encode(TEXT, b"not masked"), 1002),
        (b"\xc1\x80" + MASK, 1002),  # a reserved bit
        (b"\x83\x80" + MASK, 1002),  # an unknown opcode
        (b"\x8b\x80" + MASK, 1002),
        (frame(PING, b"", final=False), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(CONTINUATION, b""), 1002),
        (frame(TEXT, b"", final=False) + frame(TEXT, b""), 1002),
        (b"\x81\xfe\x00\x05" + MASK, 1002),  # 5 written as two bytes
        (b"\x81\xff" + (5).to_bytes(8, "big") + MASK, 1002),
        (b"\x81\xff" + (2**63).to_bytes(8, "big") + MASK, 1002),
        (b"\x81\xff" + (2**40).to_bytes(8, "big") + MASK, 1009),
        (frame(TEXT, b"\xff"), 1007),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, b"\x03\xed"), 1002),  # 1005 is never sent
        (frame(CLOSE, b"\x00\x01"), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    ],
)
def test_frames_to_refuse(data: bytes, code: int) -> None:
    with pytest.raises(FrameError) as refused:
        read(data)
    assert refused.value.code == code


def test_the_limit_holds_for_the_whole_message() -> None:
    reader = FrameReader(limit_bytes=10)
    reader.feed(frame(BINARY, b"x" * 6, final=False))
    with pytest.raises(FrameError) as refused:
        reader.feed(frame(CONTINUATION, b"x" * 6))
    assert refused.value.code == 1009


@given(st.binary(max_size=60), st.integers(1, 60))
def test_any_bytes_are_frames_or_refused(data: bytes, step: int) -> None:
    try:
        read(data, step)
    except FrameError as error:
        assert websocket.is_close_code(error.code)


@given(st.binary(max_size=40), st.binary(min_size=4, max_size=4))
def test_unmasking_is_xor(payload: bytes, mask: bytes) -> None:
    assert websocket.unmask(payload, mask) == bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def test_the_key_of_the_rfc() -> None:
    assert websocket.accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("key", "is_key"), [("dGhlIHNhbXBsZSBub25jZQ==", True), ("", False), ("short", False), ("!" * 24, False)]
)
def test_keys(key: str, is_key: bool) -> None:
    assert websocket.is_key(key) is is_key


def test_a_long_reason_is_cut_at_a_character() -> None:
    encoded = websocket.encode_close(1000, "é" * 100)
    assert len(encoded) <= 127
    encoded[4:].decode()
    assert websocket.encode_close(1005) == bytes([0x80 | CLOSE, 0])
    assert websocket.encode(PONG, b"x") == b"\x8a\x01x"
