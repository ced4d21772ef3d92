"""Requests that two parsers could read in two ways: refused here, and nothing reaches an instance."""

import asyncio

import pytest

from tests.integration.router.conftest import EARLY_CHUNK, RouterProcess, RunInstance, get, post
from tests.integration.router.instances import Gate, say_ok
from tests.integration.router.wire import Message, Wire, until

SMUGGLED = b"GET /function/f/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


def request(*lines: bytes, start: bytes = b"POST /function/f HTTP/1.1", host: bool = True) -> bytes:
    head = [start, b"Host: example.org", *lines] if host else [start, *lines]
    return b"\r\n".join([*head, b"", b""])


CL = b"Content-Length: %d" % len(SMUGGLED)
TE = b"Transfer-Encoding: chunked"

MALFORMED = {
    "length and chunked": request(CL, TE) + b"0\r\n\r\n" + SMUGGLED,
    "chunked and length": request(TE, CL) + b"0\r\n\r\n" + SMUGGLED,
    "two lengths": request(b"Content-Length: 0", CL) + SMUGGLED,
    "a list of lengths": request(b"Content-Length: 0, %d" % len(SMUGGLED)) + SMUGGLED,
    "negative length": request(b"Content-Length: -1") + SMUGGLED,
    "signed length": request(b"Content-Length: +3") + b"abc",
    "length in hexadecimal": request(b"Content-Length: 0x3") + b"abc",
    "length with a space": request(b"Content-Length: 1 2") + b"abc",
    "no length": request(b"Content-Length:") + SMUGGLED,
    "space before the colon": request(b"Content-Length : 3") + b"abc",
    "tab before the colon": request(b"Transfer-Encoding\t: chunked") + b"0\r\n\r\n",
    "not only chunked": request(b"Transfer-Encoding: chunked, identity") + b"0\r\n\r\n",
    "xchunked": request(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "chunked twice": request(TE, TE) + b"0\r\n\r\n" + SMUGGLED,
    "gzip": request(b"Transfer-Encoding: gzip") + b"0\r\n\r\n",
    "vertical tab chunked": request(b"Transfer-Encoding:\x0bchunked") + b"0\r\n\r\n",
    "NUL in a value": request(b"X: a\0b"),
    "NUL in a name": request(b"X\0Y: a"),
    "NUL in the target": request(start=b"GET /function/f/\0 HTTP/1.1"),
    "bare CR in a value": request(b"X: a\rY: b"),
    "bare CR before a header": request(b"X: a\rTransfer-Encoding: chunked") + b"0\r\n\r\n",
    "bare LF between headers": request(b"X: a\nTransfer-Encoding: chunked") + b"0\r\n\r\n",
    "folded header": request(b"X: a", b" b"),
    "folded length": request(b"Content-Length:", b" 3") + b"abc",
    "folded framing": request(b"X: a", b" Transfer-Encoding: chunked", CL) + SMUGGLED,
    "space in a name": request(b"X Y: a"),
    "no colon": request(b"X"),
    "no name": request(b": a"),
    "not ASCII in a name": request(b"X\xe9: a"),
    "no host": request(host=False),
    "two hosts": request(b"Host: other.example.org"),
    "space in the target": request(start=b"GET /function/f /x HTTP/1.1"),
    "not ASCII in the target": request(start=b"GET /function/f/\xff HTTP/1.1"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": request(start=b"GET /function/f HTTP/1.2"),
    "HTTP/0.9": b"GET /function/f\r\n\r\n",
    "HTTP/0.9 with headers": request(start=b"GET /function/f"),
    "no version": request(start=b"GET /function/f HTTP"),
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "method with a space before": request(start=b" GET /function/f HTTP/1.1"),
    "method not a token": request(start=b"G@T /function/f HTTP/1.1"),
    "header too long": request(b"X: " + b"a" * 100_000),
    "target too long": request(start=b"GET /function/f/" + b"a" * 100_000 + b" HTTP/1.1"),
    "too many headers": request(*[b"X: a"] * 5000),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
async def test_refused_before_anything_reaches_an_instance(
    router: RouterProcess, run_instance: RunInstance, data: bytes
) -> None:
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(data)
    assert await status_of(wire) in (400, 404, 411, 501)
    assert await wire.ended() == b""
    await wire.close()
    assert instance.requests == []
    assert (await router.get()).status == 200


async def status_of(wire: Wire) -> int:
    answer = await wire.answer()
    assert answer.status >= 400
    return answer.status


BAD_CHUNKS = [
    b"g\r\n",
    b"-1\r\n\r\n",
    b"0x3\r\nabc\r\n",
    b" 3\r\nabc\r\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"3\nabc\r\n",
    b"3\r\nabc\n0\r\n\r\n",
    b"ffffffffffffffffff\r\nabc",
    b"3\r\nabc\r\n0\r\nX: a\0b\r\n\r\n",
]


@pytest.mark.parametrize("body", BAD_CHUNKS)
async def test_a_malformed_chunked_body_in_one_piece_with_its_head(
    router: RouterProcess, run_instance: RunInstance, body: bytes
) -> None:
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(request(TE) + body)
    assert await status_of(wire) == 400
    assert await wire.ended() == b""
    await wire.close()
    assert instance.requests == []
    assert (await router.get()).status == 200


@pytest.mark.parametrize("body", BAD_CHUNKS)
async def test_a_malformed_chunked_body_after_its_head_was_forwarded(
    router: RouterProcess, run_instance: RunInstance, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The instance must not take it for complete; the client is told at once, and the slot comes back."""
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(request(TE) + EARLY_CHUNK)
    await until(lambda: instance.in_call == 1)
    await wire.send(body + SMUGGLED)
    answer = await wire.answer()
    assert (answer.status, answer.get("Connection")) == (400, "close")
    assert b"The body is not valid HTTP/1.1" in answer.body
    assert await wire.ended() == b""
    assert instance.requests == []
    assert (await router.get()).status == 200
    assert caplog.records == []


@pytest.mark.parametrize("body", BAD_CHUNKS)
async def test_a_malformed_chunked_body_after_its_head(
    router: RouterProcess, run_instance: RunInstance, body: bytes
) -> None:
    """Within what is read beforehand: nothing was asked of an instance."""
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(request(TE) + b"2\r\nab\r\n")
    await asyncio.sleep(0.02)  # so that the rest is read by itself
    await wire.send(body + SMUGGLED)
    answer = await wire.answer()
    assert (answer.status, answer.get("Connection")) == (400, "close")
    assert b"The body is not valid HTTP/1.1" in answer.body
    assert await wire.ended() == b""
    assert (await router.get()).status == 200
    assert (instance.connections, len(instance.requests)) == (1, 1)


async def test_a_malformed_body_of_a_request_that_waits_its_turn(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    """It came while the one before was answered: that answer goes out, and then the refusal."""
    gate = Gate()
    instance = await run_instance(gate.then_ok)
    wire = await router.connect()
    await wire.send(request(TE) + b"0\r\n\r\n")
    await until(lambda: instance.in_call == 1)
    await wire.send(request(TE) + b"2\r\nab\r\n")
    await asyncio.sleep(0.05)  # so that the rest is read by itself
    await wire.send(BAD_CHUNKS[0])
    await asyncio.sleep(0.05)
    gate.open()
    assert (await wire.answer()).status == 200
    assert await status_of(wire) == 400
    assert await wire.ended() == b""
    assert len(instance.requests) == 1


async def test_garbage_after_a_complete_body_is_not_part_of_it(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    wire = await router.connect()
    await wire.send(request(TE) + b"2\r\nab\r\n0\r\n\r\n")
    await router.until_metrics('plat_queued{function="f"} 1')
    await wire.send(MALFORMED["garbage"])
    instance = await run_instance()
    assert (await wire.answer()).status == 200
    assert await status_of(wire) == 400
    assert [each.body for each in instance.requests] == [b"ab"]


async def test_a_malformed_body_whose_answer_has_begun(
    router: RouterProcess, run_instance: RunInstance, caplog: pytest.LogCaptureFixture
) -> None:
    """No second answer follows half of the first."""

    async def begin(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        await wire.ended()
        wire.writer.close()

    instance = await run_instance(begin, read_body=False)
    wire = await router.connect()
    await wire.send(request(TE) + EARLY_CHUNK)
    assert (await wire.head()).status == 200
    assert await wire.chunk() == b"ab"
    await wire.send(BAD_CHUNKS[0])
    assert await wire.ended() == b""
    instance.behave = say_ok
    assert (await router.get()).status == 200
    assert caplog.records == []


async def test_a_malformed_body_whose_answer_is_complete(
    router: RouterProcess, run_instance: RunInstance, caplog: pytest.LogCaptureFixture
) -> None:
    instance = await run_instance(read_body=False)
    wire = await router.connect()
    await wire.send(request(TE) + EARLY_CHUNK)
    assert (await wire.answer()).status == 200
    await wire.send(BAD_CHUNKS[0])
    assert (await router.get()).status == 200
    assert len(instance.requests) == 2
    assert caplog.records == []


async def test_a_body_that_an_upgrade_hides(router: RouterProcess, run_instance: RunInstance) -> None:
    """An upgrade has no body: what claims to be one must not become a second request."""
    instance = await run_instance()
    upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: x",
        "Sec-WebSocket-Version: 13",
    ]
    wire = await router.connect()
    await wire.send(post(SMUGGLED, "/function/f", *upgrade))
    answer = await wire.answer()
    await wire.close()
    assert answer.status in (200, 400)
    assert (await router.get("/function/f/next")).status == 200
    assert [each.target for each in instance.requests][-1] == b"/next"
    assert SMUGGLED.split()[1] not in [each.target for each in instance.requests]


async def test_what_follows_a_refused_request_is_not_read(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(MALFORMED["length and chunked"] + get("/function/f/after"))
    await wire.ended()
    await wire.close()
    assert instance.requests == []


async def test_a_target_with_a_fragment(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance()
    answer = await router.get("/function/f#x")
    assert answer.status == 400
    assert b'"code":"bad_request"' in answer.body
    assert instance.requests == []


@pytest.mark.parametrize("target", ["/", "/function", "/function/", "/functions/f", "/metrics", "/healthz"])
async def test_other_pages_do_not_exist(router: RouterProcess, target: str) -> None:
    answer = await router.get(target)
    assert answer.status == 404
    assert answer.get("Content-Type") == "application/problem+json"
    assert answer.get("X-Call-Id")
    assert b'"code":"not_found"' in answer.body
