"""Clients that do not read their answers: the function is not blamed, and its slot is not held for ever."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from plat.feed import Faulted
from plat.tasks import spawn
from tests.integration.router.conftest import NOT_FAST, RouterProcess, RunInstance, RunRouter, get
from tests.integration.router.instances import Gate, say_ok
from tests.integration.router.pool_server import PoolServer, route
from tests.integration.router.test_disconnect import queued
from tests.integration.router.test_large_bodies import until_it_stands_still
from tests.integration.router.test_websocket import HANDSHAKE, SWITCH
from tests.integration.router.wire import WAIT_S, Message, Wire, until

CUT = 'plat_invocations_total{function="f",code="499"} 1'
SIZE = 30_000_000
"""More than the buffers of all systems on the way."""


class Large:
    """Answers with SIZE bytes, and notes how far it came."""

    def __init__(self, framing: str = "length") -> None:
        self.framing = framing
        self.sent = 0
        self.calls = 0

    async def behave(self, wire: Wire, request: Message) -> None:
        self.calls += 1
        piece = b"x" * 100_000
        if self.framing == "length":
            await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        else:
            await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            piece = b"186a0\r\n" + piece + b"\r\n"
        for _ in range(SIZE // 100_000):
            wire.writer.write(piece)
            await wire.writer.drain()
            self.sent += 100_000
        if self.framing != "length":
            await wire.send(b"0\r\n\r\n")

    async def is_stuck(self) -> None:
        await until(lambda: self.sent > 0)
        await until_it_stands_still(lambda: self.sent)
        assert 0 < self.sent < SIZE


def stop_reading(wire: Wire) -> None:
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]


def go_on_reading(wire: Wire) -> None:
    wire.writer.transport.resume_reading()  # type: ignore[attr-defined]


# --- the function's clock


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_client_that_pauses_is_no_fault_of_the_function_s(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance, framing: str
) -> None:
    await pool.put(route(timeout_s=0.3))
    large = Large(framing)
    instance = await run_instance(large.behave)
    wire = await router.connect()
    stop_reading(wire)
    await wire.send(get())
    await large.is_stuck()
    await asyncio.sleep(1)  # three times what the function may be silent
    go_on_reading(wire)
    assert len((await wire.answer()).body) == SIZE
    assert pool.heard(Faulted) == []
    instance.behave = say_ok
    await wire.send(get())
    assert (await wire.answer()).body == b"ok"


async def test_a_function_that_is_silent_after_its_client_paused_is_found_out(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    """Its clock begins anew when the client has taken what was there."""
    await pool.put(route(timeout_s=0.3))
    gate = Gate()

    async def hang(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        wire.writer.write(b"x" * (SIZE - 1))
        await gate.pass_through()

    await run_instance(hang)
    wire = await router.connect()
    stop_reading(wire)
    await wire.send(get())
    await until(lambda: gate.waiting == 1)
    await asyncio.sleep(1)
    assert pool.heard(Faulted) == []
    go_on_reading(wire)
    await wire.head()
    assert len(await wire.ended()) < SIZE
    await pool.until(lambda: pool.heard(Faulted) == [Faulted("a", "timeout")])
    gate.open()


# --- the client's clock


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_client_that_takes_nothing_is_cut_and_the_slot_waits_for_the_handler(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance, framing: str
) -> None:
    router = await run_router(send_timeout_s=0.3)
    gate, told = Gate(), asyncio.Event()
    large = Large(framing)

    async def stubborn(wire: Wire, request: Message) -> None:
        await large.behave(wire, request)  # what nobody wants is taken all the same
        assert await wire.ended() == b""
        told.set()
        await gate.pass_through()
        wire.writer.close()

    instance = await run_instance(stubborn)
    wire = await router.connect()
    stop_reading(wire)
    await wire.send(get())
    await router.until_metrics(CUT)
    await asyncio.wait_for(told.wait(), WAIT_S)
    instance.behave = say_ok
    next_call = spawn(router.get(), "call")
    await queued(router, 1)
    assert len(instance.requests) == 1
    gate.open()
    assert (await next_call).status == 200
    assert instance.most_in_call == 1
    assert pool.heard(Faulted) == []
    go_on_reading(wire)
    await wire.head()
    assert not (await wire.ended()).endswith(b"0\r\n\r\n")


async def test_a_handler_that_does_not_end_then_is_replaced(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance
) -> None:
    """As when its client leaves: it has its timeout from there on."""
    router = await run_router(send_timeout_s=0.3)
    await pool.put(route(timeout_s=0.3))
    gate, large = Gate(), Large()

    async def endless(wire: Wire, request: Message) -> None:
        await large.behave(wire, request)
        await gate.pass_through()

    await run_instance(endless)
    wire = await router.connect()
    stop_reading(wire)
    await wire.send(get())
    await router.until_metrics(CUT)
    await pool.until(lambda: pool.heard(Faulted) == [Faulted("a", "timeout")])
    gate.open()


async def test_a_client_that_takes_nothing_while_its_request_is_incomplete_is_cut(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance
) -> None:
    """Each waits for the other: the instance to be read, the router to read the client."""
    router = await run_router(send_timeout_s=0.3)

    async def echo(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while chunk := await wire.chunk():
            await wire.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    instance = await run_instance(echo, read_body=False)
    wire = await router.connect()
    stop_reading(wire)
    await wire.send(b"POST /function/f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    wire.writer.write((b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 1000)
    await until(lambda: instance.in_call == 1)
    await router.until_metrics(CUT)
    await until(lambda: instance.in_call == 0)
    await pool.all_home(1)
    assert pool.heard(Faulted) == []
    wire.abort()


async def test_a_websocket_s_client_that_takes_nothing_is_cut(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance
) -> None:
    router = await run_router(send_timeout_s=0.3)

    async def flood(wire: Wire, request: Message) -> None:
        await wire.send(SWITCH)
        wire.writer.write(b"x" * SIZE)
        assert await wire.ended() == b""
        wire.writer.close()

    instance = await run_instance(flood)
    wire = await router.connect()
    stop_reading(wire)
    await wire.send(get("/function/f", *HANDSHAKE))
    await until(lambda: instance.in_call == 1)
    await router.until_metrics(CUT)
    await until(lambda: instance.in_call == 0)
    await pool.all_home(1)
    assert pool.heard(Faulted) == []


async def test_a_client_that_has_taken_everything_is_not_waited_for_any_more(
    run_router: RunRouter, run_instance: RunInstance
) -> None:
    router = await run_router(send_timeout_s=1)
    large = Large()
    instance = await run_instance(large.behave)
    wire = await router.connect()
    stop_reading(wire)
    await wire.send(get())
    await until(lambda: large.sent > 0)
    await asyncio.sleep(0.3)  # it is blocked by now, and not yet cut
    go_on_reading(wire)
    assert len((await wire.answer()).body) == SIZE
    instance.behave = say_ok
    await asyncio.sleep(2.5)
    await wire.send(get())
    assert (await wire.answer()).body == b"ok"


async def test_a_client_that_leaves_instead_is_not_looked_at_any_more(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance, caplog: pytest.LogCaptureFixture
) -> None:
    router = await run_router(send_timeout_s=1)
    large = Large()

    async def behave(wire: Wire, request: Message) -> None:
        await large.behave(wire, request)
        wire.writer.close()

    await run_instance(behave)
    wire = await router.connect()
    stop_reading(wire)
    await wire.send(get())
    await large.is_stuck()
    wire.abort()
    await pool.all_home(1)
    await asyncio.sleep(1.5)
    assert CUT in await router.metrics()
    assert caplog.records == []


@pytest.fixture
async def narrow(router: RouterProcess) -> AsyncIterator[socket.socket]:
    """A client whose own system takes little, so that it is the router's that waits."""
    with socket.socket() as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", router.settings.port))
        yield client


@pytest.fixture
async def router(run_router: RunRouter, request: pytest.FixtureRequest) -> RouterProcess:
    return await run_router(**getattr(request, "param", {}))


@pytest.mark.parametrize("router", [{"send_timeout_s": 0.5}], indirect=True)
async def test_a_client_that_reads_slowly_but_steadily_is_not_cut(
    router: RouterProcess, narrow: socket.socket, pool: PoolServer, run_instance: RunInstance
) -> None:
    """For several times the limit, in which the system asks the router for no more: its buffer is large."""
    large = Large()
    await run_instance(large.behave)
    loop = asyncio.get_running_loop()
    if router.path == "streaming":
        await loop.sock_sendall(narrow, NOT_FAST)
        assert b" 404 " in await loop.sock_recv(narrow, 65_536)
    await loop.sock_sendall(narrow, get())
    await large.is_stuck()
    head = await loop.sock_recv(narrow, 1000)
    came = len(head) - head.index(b"\r\n\r\n") - 4
    for _ in range(25):
        came += len(await loop.sock_recv(narrow, 32_768))
        await asyncio.sleep(0.1)
    while came < SIZE and (data := await asyncio.wait_for(loop.sock_recv(narrow, 1 << 20), WAIT_S)):
        came += len(data)
    assert came == SIZE
    assert pool.heard(Faulted) == []


# --- requests sent ahead


async def test_requests_sent_ahead_by_a_client_that_does_not_read_wait_for_it(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    """Else their answers would gather in the router."""
    large = Large()
    await run_instance(large.behave)
    wire = await router.connect()
    stop_reading(wire)
    await wire.send(get() * 4)
    await large.is_stuck()
    assert large.calls == 1
    go_on_reading(wire)
    for _ in range(4):
        assert len((await wire.answer()).body) == SIZE
    assert large.calls == 4


async def test_answers_of_any_size_to_requests_sent_ahead_wait_too(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    """Each comes in one piece, and is complete before anything of it is taken."""
    body = b"x" * 60_000
    answered = 0

    async def behave(wire: Wire, request: Message) -> None:
        nonlocal answered
        answered += 1
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    await run_instance(behave)
    wire = await router.connect()
    stop_reading(wire)
    await wire.send(get() * 1000)
    await until(lambda: answered > 0)
    await until_it_stands_still(lambda: answered)
    assert answered < 500
    go_on_reading(wire)
    for _ in range(1000):
        assert (await wire.answer()).body == body
    assert answered == 1000
