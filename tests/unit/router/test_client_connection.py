"""A client's connection: whatever the bytes come as, one request after the other, or another protocol's."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from router.clients import BODY_LIMIT_BYTES
from tests.unit.router.client_rig import GET, POST, Rig, answered
from tests.unit.router.heads import NO_FUNCTION, REFUSED, STREAMED, head

HANDED_OVER = REFUSED | NO_FUNCTION | {name: data for name, (data, _) in STREAMED.items()}


@pytest.fixture
async def rig() -> Rig:
    return Rig()


FORWARDED = (
    b"X-Forwarded-Host: example.org\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Prefix: /function/f\r\n"
    b"X-Forwarded-For: 192.0.2.1\r\nX-Call-Id: %b\r\nX-Deadline-Ms: #\r\n\r\n"
)
SEEN_GET = b"GET /a?b HTTP/1.1\r\nHost: example.org\r\n" + FORWARDED % b"a"
SEEN_POST = (
    b"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 7\r\n" + FORWARDED % b"b" + b"a\r\n\r\nbc"
)


def cuts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for place in range(1, len(data)):
        yield data[:place], data[place:]


@pytest.mark.parametrize(("data", "seen"), [(GET, SEEN_GET), (POST, SEEN_POST)], ids=["GET", "POST"])
async def test_a_request_cut_at_every_byte(rig: Rig, data: bytes, seen: bytes) -> None:
    call_id = b"a" if data is GET else b"b"
    for before, after in cuts(data):
        rig.receive(before)
        assert rig.take_request() == b""
        rig.receive(after)
        assert rig.take_request() == seen
        assert await rig.answer() == answered(call_id)


async def test_a_request_byte_by_byte(rig: Rig) -> None:
    for byte in POST:
        assert rig.take_request() == b""
        rig.receive(bytes([byte]))
    assert rig.take_request() == SEEN_POST
    assert rig.client._needed == len(POST), "it is not looked at again with each byte of the body"
    rig.receive(GET[:-1])
    assert await rig.answer() == answered(b"b")
    rig.receive(GET[-1:])
    assert rig.take_request() == SEEN_GET


async def test_glued_requests_go_one_after_the_other(rig: Rig) -> None:
    for before, after in cuts(GET + POST + GET):
        rig.receive(before)
        early = rig.take_request()
        rig.receive(after)
        assert early + rig.take_request() == SEEN_GET
        assert await rig.answer() == answered(b"a")
        assert rig.take_request() == SEEN_POST
        assert await rig.answer() == answered(b"b")
        assert rig.take_request() == SEEN_GET
        assert await rig.answer() == answered(b"a")


async def test_nothing_is_read_after_a_request_that_closes(rig: Rig) -> None:
    close = head(b"X-Call-Id: c", b"Connection: close", start=b"GET /function/f HTTP/1.1")
    rig.receive(close + GET)
    assert b"X-Call-Id: c" in rig.take_request()
    assert await rig.answer() == answered(b"c", close=True)
    assert rig.transport.ended == "close"
    assert rig.take_request() == b""


@pytest.mark.parametrize("data", HANDED_OVER.values(), ids=HANDED_OVER.keys())
async def test_what_is_not_recognised_is_handed_over_with_its_bytes(rig: Rig, data: bytes) -> None:
    rig.receive(data + GET)
    assert rig.transport.protocol is rig.server.other
    assert rig.server.other.transport is rig.transport
    assert rig.server.other.data == data + GET
    assert rig.take_request() == b""
    assert rig.transport.take() == b""


@pytest.mark.parametrize("name", ["length and chunked", "folded with a space", "HTTP/1.2", "chunked", "/"])
async def test_it_is_handed_over_however_it_is_cut(rig: Rig, name: str) -> None:
    data = HANDED_OVER[name]
    for before, after in cuts(data):
        rig.connect()
        rig.receive(before)
        rig.receive(after)
        assert rig.server.other.data == data
        assert rig.take_request() == b""


async def test_it_is_handed_over_after_requests_that_were_recognised(rig: Rig) -> None:
    chunked = HANDED_OVER["chunked"]
    rig.receive(GET + chunked)
    assert rig.take_request() == SEEN_GET
    assert rig.server.other.data == b""
    assert await rig.answer() == answered(b"a")
    assert rig.server.other.data == chunked
    assert rig.take_request() == b""


async def test_a_body_that_is_too_large_is_handed_over(rig: Rig) -> None:
    data = head(b"Content-Length: %d" % (BODY_LIMIT_BYTES + 1))
    rig.receive(data)
    assert rig.server.other.data == data


async def test_a_client_that_sends_far_ahead_is_not_read_any_more(rig: Rig) -> None:
    rig.receive(GET)
    rig.receive(GET * (BODY_LIMIT_BYTES // len(GET) + 1))
    assert rig.transport.is_paused
    assert await rig.answer() == answered(b"a")
    assert not rig.transport.is_paused


# --- from the instance


BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok"


def patience_s(rig: Rig) -> int:
    return round(rig.client.deadline - time.monotonic())


async def test_anything_unsent_is_waited_for(rig: Rig) -> None:
    """So no answer is left behind when the next begins, and aiohttp never takes over in the middle of it."""
    assert rig.transport.high == 0


async def test_the_instance_is_held_back_and_its_clock_stands_still(rig: Rig) -> None:
    rig.receive(GET)
    assert patience_s(rig) == 30
    rig.transport.reader_stops = rig.client
    await rig.answer(BEGUN)
    assert rig.upstream_transport.is_paused
    assert patience_s(rig) == 60
    rig.transport.take_all()
    assert not rig.upstream_transport.is_paused
    assert patience_s(rig) == 30
    assert (await rig.answer(b"ab")).endswith(b"ab")
    assert rig.instance.connections == [rig.upstream]


async def test_a_client_that_takes_nothing_is_cut(rig: Rig) -> None:
    rig.receive(GET)
    rig.transport.reader_stops = rig.client
    await rig.answer(BEGUN)
    rig.client.late()
    assert rig.transport.ended == "abort"
    assert rig.instance.free == 0
    rig.client.connection_lost(None)
    await asyncio.sleep(0)
    assert rig.upstream_transport.ended == "eof"
    assert not rig.upstream_transport.is_paused
    assert rig.instance.free == 0
    rig.upstream.eof_received()
    for _ in range(5):
        await asyncio.sleep(0)
    assert rig.instance.free == 1
    assert rig.statuses() == {499: 1}


async def test_a_client_that_takes_a_byte_has_as_long_again(rig: Rig) -> None:
    rig.receive(GET)
    rig.transport.reader_stops = rig.client
    await rig.answer(BEGUN)
    for _ in range(3):
        rig.transport.unsent -= 1
        rig.client.deadline = 0
        rig.client.late()
        assert rig.transport.ended == ""
        assert patience_s(rig) == 60
    rig.client.late()
    assert rig.transport.ended == "abort"


async def test_the_next_request_waits_until_the_answer_is_taken(rig: Rig) -> None:
    rig.receive(GET + POST)
    rig.take_request()
    rig.transport.reader_stops = rig.client
    await rig.answer()
    rig.receive(GET)
    await asyncio.sleep(0)
    assert rig.take_request() == b""
    assert rig.instance.free == 1
    assert patience_s(rig) == 60
    rig.transport.take_all()
    assert patience_s(rig) == 75
    await asyncio.sleep(0)
    assert rig.take_request() == SEEN_POST
    assert await rig.answer() == answered(b"b")
    assert rig.take_request() == SEEN_GET


async def test_what_is_not_recognised_waits_for_it_too(rig: Rig) -> None:
    """aiohttp must not be told of an end of a pause whose beginning it has not seen."""
    rig.receive(GET)
    rig.transport.reader_stops = rig.client
    await rig.answer()
    rig.receive(HANDED_OVER["chunked"])
    assert rig.transport.protocol is None
    rig.transport.take_all()
    await asyncio.sleep(0)
    assert rig.transport.protocol is rig.server.other


@pytest.mark.parametrize("close", [False, True])
async def test_an_answer_that_is_complete_but_not_taken_keeps_no_connection(rig: Rig, close: bool) -> None:
    ending = [b"Connection: close"] if close else []
    rig.receive(head(b"X-Call-Id: a", *ending, start=b"GET /function/f HTTP/1.1"))
    rig.transport.reader_stops = rig.client
    assert await rig.answer() == answered(b"a", close=close)
    assert rig.transport.ended == ("close" if close else "")
    assert rig.instance.free == 1
    assert patience_s(rig) == 60
    rig.client.late()
    assert rig.transport.ended == "abort"
    rig.client.connection_lost(None)
    assert rig.clients.connections == set()
    assert rig.statuses() == {200: 1}


async def test_at_the_end_it_is_closed_when_the_answer_is_taken(rig: Rig) -> None:
    rig.receive(GET + GET)
    rig.take_request()
    rig.transport.reader_stops = rig.client
    await rig.answer()
    rig.clients.close()
    assert rig.transport.ended == ""
    rig.transport.take_all()
    assert rig.transport.ended == "close"
    await asyncio.sleep(0)
    assert rig.take_request() == b""
