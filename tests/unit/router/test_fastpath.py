"""The fast path without a socket: what comes of answers, whole, in pieces, cut or too long."""

import asyncio

import pytest

from tests.unit.router.client_rig import GET, OK, Rig, answered


@pytest.fixture
async def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize("more", [b"x", b"\r\n", OK], ids=["a byte", "a line break", "an answer"])
async def test_bytes_after_the_answer_end_the_connection(rig: Rig, more: bytes) -> None:
    rig.receive(GET)
    assert await rig.answer(OK + more) == answered(b"a")
    assert rig.upstream_transport.ended == "abort"
    assert rig.instance.connections == []
    assert rig.instance.free == 1


async def test_an_answer_between_two_requests_ends_the_connection(rig: Rig) -> None:
    rig.receive(GET)
    assert await rig.answer() == answered(b"a")
    assert await rig.answer() == b""
    assert rig.upstream_transport.ended == "abort"
    assert rig.upstream.closed


async def test_a_connection_is_kept_for_the_next_call(rig: Rig) -> None:
    rig.receive(GET)
    assert rig.instance.free == 0
    assert await rig.answer() == answered(b"a")
    assert rig.instance.free == 1
    assert rig.instance.connections == [rig.upstream]


async def test_an_answer_byte_by_byte(rig: Rig) -> None:
    rig.receive(GET)
    out = b""
    for byte in OK:
        assert rig.instance.free == 0
        out += await rig.answer(bytes([byte]))
    assert out == answered(b"a")
    assert rig.instance.connections == [rig.upstream]


async def test_half_an_answer_is_cut(rig: Rig) -> None:
    rig.receive(GET)
    rig.upstream.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
    rig.upstream.data_received(b"zz\r\n")
    assert rig.transport.ended == "abort"
    assert not rig.transport.written.endswith(b"0\r\n\r\n")
    rig.upstream.eof_received()
    for _ in range(5):
        await asyncio.sleep(0)
    assert rig.instance.free == 1


# --- a client that does not read
