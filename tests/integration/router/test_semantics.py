"""The corners of HTTP/1.1: HEAD, empty answers, interim answers, HTTP/1.0, events, expectations."""

import asyncio

import pytest

from tests.integration.router.conftest import (
    EARLY,
    EARLY_CHUNK,
    RouterProcess,
    RunInstance,
    RunRouter,
    get,
    post,
)
from tests.integration.router.instances import OK, Gate, say_ok, says
from tests.integration.router.pool_server import PoolServer
from tests.integration.router.wire import Message, Wire, until

CHUNKED = b"POST /function/f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_head_has_the_length_and_no_body(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance(says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"))
    wire = await router.connect()
    for _ in range(3):
        await wire.send(get().replace(b"GET", b"HEAD", 1))
        answer = await wire.answer(to="HEAD")
        assert (answer.status, answer.get("Content-Length")) == (200, "1000")
    assert instance.connections == 1


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (b"HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n", 204),
        (b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 1000\r\n\r\n', 304),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
    ],
)
async def test_answers_without_a_body(
    router: RouterProcess, run_instance: RunInstance, answer: bytes, status: int
) -> None:
    """Followed by another on the same connection: nothing of a body was made up."""
    instance = await run_instance(says(answer))
    wire = await router.connect()
    for _ in range(3):
        await wire.send(get())
        seen = await wire.answer()
        assert (seen.status, seen.body) == (status, b"")
        assert seen.all("Transfer-Encoding") == []
    assert instance.connections == 1


async def test_an_answer_to_the_end_of_the_connection(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    async def behave(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        wire.writer.close()

    await run_instance(behave)
    wire = await router.connect()
    for _ in range(2):
        await wire.send(get())
        answer = await wire.answer()
        assert answer.get("Transfer-Encoding") == "chunked"
        assert answer.body == b"abc"


async def test_an_http_1_0_instance(router: RouterProcess, run_instance: RunInstance) -> None:
    async def behave(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nabc")
        wire.writer.close()

    await run_instance(behave)
    answer = await router.get()
    assert (answer.start, answer.body) == (b"HTTP/1.1 200 OK", b"abc")


async def test_early_hints_are_forwarded(router: RouterProcess, run_instance: RunInstance) -> None:
    await run_instance(
        says(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\n\r\n"
            b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n" + OK
        )
    )
    answer = await router.get()
    assert [(each.status, each.all("Link")) for each in answer.interim] == [
        (103, ["</a.css>"]),
        (103, ["</b.css>"]),
    ]
    assert answer.body == b"ok"


async def test_an_http_1_0_client_hears_no_interim_answer(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    await run_instance(says(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + OK))
    answer = await router.call(b"GET /function/f HTTP/1.0\r\n\r\n")
    assert (answer.interim, answer.status) == ([], 200)


async def test_an_http_1_0_client_gets_no_chunks(router: RouterProcess, run_instance: RunInstance) -> None:
    await run_instance(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
    wire = await router.connect()
    await wire.send(b"GET /function/f HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    answer = await wire.answer()
    assert answer.all("Transfer-Encoding") == []
    assert answer.get("Connection") == "close"
    assert answer.body == b"abc"


@pytest.mark.parametrize(("headers", "kept"), [(b"", False), (b"Connection: keep-alive\r\n", True)])
async def test_an_http_1_0_client_keeps_its_connection_only_if_it_asks(
    router: RouterProcess, run_instance: RunInstance, headers: bytes, kept: bool
) -> None:
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(b"GET /function/f HTTP/1.0\r\n" + headers + b"\r\n")
    answer = await wire.answer()
    assert answer.body == b"ok"
    assert answer.get("Connection") == ("keep-alive" if kept else "close")
    if kept:
        await wire.send(b"GET /function/f HTTP/1.0\r\n" + headers + b"\r\n")
        assert (await wire.answer()).body == b"ok"
    else:
        assert await wire.ended() == b""
    assert instance.requests[0].start == b"GET / HTTP/1.1"


async def test_a_client_that_closes_after_its_call(router: RouterProcess, run_instance: RunInstance) -> None:
    await run_instance()
    wire = await router.connect()
    await wire.send(get("/function/f", "Connection: close"))
    answer = await wire.answer()
    assert (answer.body, answer.get("Connection")) == (b"ok", "close")
    assert await wire.ended() == b""


@pytest.mark.parametrize("length", [3, 100_000])
async def test_a_client_that_waits_to_be_asked_for_its_body(
    router: RouterProcess, run_instance: RunInstance, length: int
) -> None:
    instance = await run_instance()
    whole = post(b"x" * length, "/function/f", "Expect: 100-continue")
    head, _, body = whole.partition(b"\r\n\r\n")
    wire = await router.connect()
    await wire.send(head + b"\r\n\r\n")
    assert (await wire.head()).status == 100
    await wire.send(body)
    answer = await wire.answer()
    assert (answer.status, answer.interim) == (200, [])
    assert instance.requests[0].body == body
    assert instance.requests[0].all("Expect") == []


async def test_a_call_that_is_refused_is_not_asked_for_its_body(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    await run_instance()
    wire = await router.connect()
    await wire.send(
        b"POST /function/other HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    )
    assert (await wire.head()).status == 404


async def test_a_continue_of_the_instance_is_not_forwarded(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    await run_instance(says(b"HTTP/1.1 100 Continue\r\n\r\n" + OK))
    answer = await router.call(post(b"abc"))
    assert (answer.interim, answer.body) == ([], b"ok")


@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked\r\n", b""])
async def test_events_are_flushed_one_by_one(
    router: RouterProcess, run_instance: RunInstance, framing: bytes
) -> None:
    """The next one is sent only after the client has seen the one before."""
    seen: asyncio.Queue[None] = asyncio.Queue()

    async def events(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + framing + b"\r\n")
        for number in range(5):
            event = b"data: %d\n\n" % number
            await wire.send(b"%x\r\n%b\r\n" % (len(event), event) if framing else event)
            await seen.get()
        if framing:
            await wire.send(b"0\r\n\r\n")
        else:
            wire.writer.close()

    await run_instance(events)
    wire = await router.connect()
    await wire.send(get())
    assert (await wire.head()).get("Content-Type") == "text/event-stream"
    for number in range(5):
        assert await wire.chunk() == b"data: %d\n\n" % number
        seen.put_nowait(None)
    assert await wire.chunk() == b""


async def test_the_head_is_flushed_before_the_body(router: RouterProcess, run_instance: RunInstance) -> None:
    gate = Gate()

    async def behave(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await gate.pass_through()
        await wire.send(b"ok")

    await run_instance(behave)
    wire = await router.connect()
    await wire.send(get())
    message = await wire.head()
    gate.open()
    assert await wire.body(message) == b"ok"


async def test_an_answer_may_come_before_the_request_is_complete(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    async def behave(wire: Wire, request: Message) -> None:
        await wire.send(OK)
        wire.writer.close()

    instance = await run_instance(behave, read_body=False)
    wire = await router.connect()
    await wire.send(CHUNKED + EARLY_CHUNK)
    assert (await wire.answer()).body == b"ok"
    await until(lambda: instance.open == 0)
    instance.behave = say_ok
    assert (await router.get()).status == 200


async def test_a_stream_in_both_directions_at_once(router: RouterProcess, run_instance: RunInstance) -> None:
    """Once the body is streamed, each piece is echoed before the next is sent."""

    async def echo(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while chunk := await wire.chunk():
            await wire.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        await wire.send(b"0\r\n\r\n")

    await run_instance(echo, read_body=False)
    wire = await router.connect()
    await wire.send(CHUNKED + EARLY_CHUNK)
    assert (await wire.head()).status == 200
    assert await wire.chunked(len(EARLY)) == EARLY
    for number in range(10):
        piece = b"piece %d" % number
        await wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        assert await wire.chunk() == piece
    await wire.send(b"0\r\n\r\n")
    assert await wire.chunk() == b""


@pytest.mark.parametrize("length", [1001, 10**12])
async def test_a_body_over_the_limit_is_refused_before_it_is_read(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance, length: int
) -> None:
    router = await run_router(body_limit_bytes=1000)
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(b"POST /function/f HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length)
    answer = await wire.answer()
    assert answer.status == 413
    assert answer.get("Connection") == "close"
    assert b"the limit is 1000" in answer.body
    assert instance.requests == []


async def test_a_chunked_body_over_the_limit_is_refused_when_it_shows(
    run_router: RunRouter, run_instance: RunInstance
) -> None:
    router = await run_router(body_limit_bytes=1000)
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(CHUNKED)
    await wire.send((b"200\r\n" + b"x" * 512 + b"\r\n") * 2)
    answer = await wire.answer()
    assert answer.status == 413
    assert instance.requests == []
    assert (await router.get()).status == 200
    assert (await router.call(CHUNKED + b"3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n")).status == 200


async def test_a_streamed_body_over_the_limit_is_refused_when_it_shows(
    run_router: RunRouter, run_instance: RunInstance
) -> None:
    """What was read before a slot was asked for counts."""
    router = await run_router(body_limit_bytes=70_000)
    await run_instance()
    exact = CHUNKED + EARLY_CHUNK + b"1170\r\n" + b"x" * 4464 + b"\r\n"
    assert (await router.call(exact + b"0\r\n\r\n")).status == 200
    assert (await router.call(exact + b"1\r\nx\r\n")).status == 413
    assert (await router.get()).status == 200
