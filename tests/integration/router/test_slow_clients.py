"""Clients that send slowly: they are told so, and hold no slot for it. Nobody is blamed for another."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from plat.feed import Faulted
from plat.tasks import cancel, spawn
from tests.integration.router.conftest import EARLY, EARLY_CHUNK, RouterProcess, RunInstance, RunRouter, post
from tests.integration.router.instances import OK, Gate, say_ok
from tests.integration.router.pool_server import PoolServer, route
from tests.integration.router.test_disconnect import queued
from tests.integration.router.test_faults import problem
from tests.integration.router.test_large_bodies import until_it_stands_still
from tests.integration.router.wire import Message, Wire, until

pytestmark = pytest.mark.parametrize("path", ["streaming"])

CHUNKED = b"POST /function/f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
STEP_S = 0.02


def whole(length: int) -> bytes:
    return post(b"x" * length)


@asynccontextmanager
async def trickling(wire: Wire, piece: bytes) -> AsyncIterator[None]:
    """Send the piece again and again, slowly."""

    async def trickle() -> None:
        while True:
            wire.writer.write(piece)
            await asyncio.sleep(STEP_S)

    task = spawn(trickle(), "body")
    try:
        yield
    finally:
        await cancel(task)


async def echo(wire: Wire, request: Message) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while chunk := await wire.chunk():
        await wire.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
    await wire.send(b"0\r\n\r\n")


# --- too slow


async def test_a_trickler_is_told_so_and_its_slot_waits_for_the_handler(
    run_router: RunRouter, run_instance: RunInstance
) -> None:
    router = await run_router(body_grace_s=0.3, body_min_bytes_per_s=500_000)
    ended = asyncio.Event()
    gate = Gate()

    async def stubborn(wire: Wire, request: Message) -> None:
        assert set(await wire.ended()) == set(b"x")
        ended.set()
        await gate.pass_through()
        wire.writer.close()

    instance = await run_instance(stubborn, read_body=False)
    wire = await router.connect()
    await wire.send(whole(200_000)[:70_000])
    async with trickling(wire, b"x"):
        answer = await wire.answer()
    said = problem(answer)
    assert (answer.status, said.code, answer.get("Connection")) == (408, "request_timeout", "close")
    told = re.match(
        r"The body came too slowly: (\d+) bytes in (\d+\.\d) s. .* every 500000 bytes", said.detail
    )
    assert told is not None, said.detail
    assert 69_000 < int(told[1]) < 100_000
    await asyncio.wait_for(ended.wait(), 20)
    instance.behave = say_ok
    next_call = spawn(router.get(), "call")
    await queued(router, 1)
    assert len(instance.requests) == 1
    gate.open()
    assert (await next_call).status == 200
    assert instance.most_in_call == 1


async def test_a_client_that_has_sent_much_may_pause_but_not_for_ever(
    run_router: RunRouter, run_instance: RunInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.pace.LONGEST_PAUSE_S", 0.3)
    router = await run_router(body_grace_s=0.1)
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(whole(5_000_000)[:2_000_000])
    answer = problem(await wire.answer())
    assert (answer.status, answer.code) == (408, "request_timeout")
    assert instance.requests == []
    assert (await router.get()).status == 200


async def test_a_trickler_whose_answer_has_begun_is_cut(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance
) -> None:
    """No second answer follows half of the first."""
    router = await run_router(body_grace_s=0.3, body_min_bytes_per_s=500_000)
    await run_instance(echo, read_body=False)
    wire = await router.connect()
    await wire.send(CHUNKED + EARLY_CHUNK)
    async with trickling(wire, b"1\r\nx\r\n"):
        assert (await wire.head()).status == 200
        rest = await wire.ended()
    assert b"HTTP/1.1" not in rest
    assert b"0\r\n\r\n" not in rest
    await pool.all_home(1)
    assert pool.heard(Faulted) == []


async def test_a_small_body_holds_no_slot_and_has_a_minute(
    run_router: RunRouter, run_instance: RunInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.request_body.EARLY_S", 0.3)
    router = await run_router()
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(whole(1000)[:-900])
    async with trickling(wire, b"x"):
        assert (await router.get()).status == 200
        answer = problem(await wire.answer())
    assert (answer.status, answer.code) == (408, "request_timeout")
    assert re.fullmatch(r"Only \d+ of the body's 1000 bytes came within 0.3 s\.", answer.detail)
    assert len(instance.requests) == 1


# --- not too slow


async def test_a_client_that_keeps_the_rate_may_take_long(
    run_router: RunRouter, run_instance: RunInstance
) -> None:
    router = await run_router(body_grace_s=0.3, body_min_bytes_per_s=100_000)
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(CHUNKED + EARLY_CHUNK)
    for _ in range(75):
        await wire.send(b"4e20\r\n" + b"x" * 20_000 + b"\r\n")
        await asyncio.sleep(STEP_S)
    await wire.send(b"0\r\n\r\n")
    assert (await wire.answer()).status == 200
    assert len(instance.requests[0].body) == len(EARLY) + 75 * 20_000


async def test_a_fast_upload(run_router: RunRouter, run_instance: RunInstance) -> None:
    router = await run_router(body_grace_s=1, body_min_bytes_per_s=1_000_000)
    instance = await run_instance()
    assert (await router.call(whole(5_000_000))).status == 200
    assert len(instance.requests[0].body) == 5_000_000


async def test_an_instance_that_reads_slowly_is_no_fault_of_the_client_s(
    run_router: RunRouter, run_instance: RunInstance
) -> None:
    """Held back for longer than its grace and all its bytes last; then its end is waited for."""
    router = await run_router(body_grace_s=1, body_min_bytes_per_s=100_000_000)
    gate = Gate()
    data = whole(5_000_000)

    async def slow(wire: Wire, request: Message) -> None:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await gate.pass_through()
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await wire.reader.readexactly(5_000_000 - 1000)
        client.writer.write(data[-1000:])
        await wire.reader.readexactly(1000)
        await wire.send(OK)

    await run_instance(slow, read_body=False)
    client = await router.connect()
    client.writer.write(data[:-1000])
    await until(lambda: gate.waiting == 1)
    await until_it_stands_still(client.writer.transport.get_write_buffer_size)
    await asyncio.sleep(1)
    gate.open()
    assert (await client.answer()).status == 200


# --- the instance's time


async def test_an_instance_that_takes_nothing_of_a_body_is_silent(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    await pool.put(route(timeout_s=0.3))
    gate = Gate()

    async def hang(wire: Wire, request: Message) -> None:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await gate.pass_through()

    await run_instance(hang, read_body=False)
    wire = await router.connect()
    wire.writer.write(whole(5_000_000))
    answer = problem(await wire.answer())
    assert (answer.status, answer.code) == (504, "timeout")
    await pool.until(lambda: pool.heard(Faulted) == [Faulted("a", "timeout")])
    wire.abort()
    gate.open()


async def test_an_instance_that_takes_a_body_slowly_is_not_silent(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    """Its time begins again with whatever it takes."""
    await pool.put(route(timeout_s=0.5))

    async def slow(wire: Wire, request: Message) -> None:
        for _ in range(10):
            await asyncio.sleep(0.1)
            await wire.reader.readexactly(500_000)
        await wire.send(OK)

    await run_instance(slow, read_body=False)
    assert (await router.call(whole(5_000_000))).status == 200


async def test_an_instance_that_waits_for_more_of_the_body_is_not_silent(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    """Its answer has begun, and goes on when the client does."""
    await pool.put(route(timeout_s=0.2))
    await run_instance(echo, read_body=False)
    wire = await router.connect()
    await wire.send(CHUNKED + EARLY_CHUNK)
    assert (await wire.head()).status == 200
    assert await wire.chunked(len(EARLY)) == EARLY
    for _ in range(2):
        await asyncio.sleep(0.4)
        await wire.send(b"1\r\nx\r\n")
        assert await wire.chunk() == b"x"
    await wire.send(b"0\r\n\r\n")
    assert await wire.chunk() == b""
    assert pool.heard(Faulted) == []
