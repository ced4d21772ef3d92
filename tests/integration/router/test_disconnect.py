"""Clients that leave: the instance is told, and the slot is free when it has ended, not before."""

import asyncio

import pytest

from plat.tasks import spawn
from tests.integration.router.conftest import RouterProcess, RunInstance, get, post
from tests.integration.router.instances import Gate, Instance, say_ok
from tests.integration.router.pool_server import PoolServer
from tests.integration.router.wire import Message, Wire, until


async def queued(router: RouterProcess, calls: int) -> None:
    await router.until_metrics(f'plat_queued{{function="f"}} {calls}')


class Stubborn:
    """Notes the end of the client's side, and ends when the test lets it."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.gate = Gate()

    async def behave(self, wire: Wire, request: Message) -> None:
        assert await wire.ended() == b""
        self.told.set()
        await self.gate.pass_through()
        wire.writer.close()


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_the_instance_is_told_and_the_slot_waits_for_its_end(
    router: RouterProcess, run_instance: RunInstance, how: str
) -> None:
    stubborn = Stubborn()
    instance = await run_instance(stubborn.behave)
    wire = await router.connect()
    await wire.send(get())
    await until(lambda: instance.in_call == 1)
    if how == "abort":
        wire.abort()
    else:
        wire.writer.close()
    await asyncio.wait_for(stubborn.told.wait(), 20)
    instance.behave = say_ok
    next_call = spawn(router.get(), "call")
    await queued(router, 1)
    assert len(instance.requests) == 1
    stubborn.gate.open()
    assert (await next_call).status == 200
    assert instance.most_in_call == 1


async def test_a_client_that_leaves_in_the_middle_of_the_answer(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    ended = asyncio.Event()

    async def endless(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await wire.ended()
        ended.set()
        wire.writer.close()

    instance = await run_instance(endless)
    wire = await router.connect()
    await wire.send(get())
    await wire.head()
    assert await wire.chunk() == b"abc"
    wire.abort()
    await asyncio.wait_for(ended.wait(), 20)
    instance.behave = say_ok
    assert (await router.get()).status == 200


async def test_a_client_that_leaves_in_the_middle_of_its_body(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    """What came is not a request: the instance must not take it for one."""
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(post(b"x" * 200_000)[:150_000])
    await until(lambda: instance.in_call == 1)
    wire.abort()
    await until(lambda: instance.in_call == 0)
    assert instance.requests == []
    assert (await router.get()).status == 200


async def test_a_client_that_leaves_before_a_small_body_is_complete_holds_nothing(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(post(b"x" * 1000)[:500])
    assert (await router.get()).status == 200
    wire.abort()
    assert (await router.get()).status == 200
    assert len(instance.requests) == 2


async def test_a_client_that_leaves_the_queue(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    gate = Gate()
    instance = await run_instance(gate.then_ok)
    first = spawn(router.get(), "call")
    await until(lambda: instance.in_call == 1)
    wire = await router.connect()
    await wire.send(get("/function/f/left"))
    await queued(router, 1)
    wire.abort()
    await queued(router, 0)
    gate.open()
    assert (await first).status == 200
    assert (await router.get("/function/f/next")).status == 200
    assert [each.target for each in instance.requests] == [b"/", b"/next"]


async def test_many_clients_that_leave_lose_no_slot(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    """At every stage of a call, over and over: the function still serves, one call at a time."""

    async def slow(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await wire.send(b"1\r\na\r\n")
        await asyncio.sleep(0)
        await wire.send(b"0\r\n\r\n")

    instance: Instance = await run_instance(slow)

    async def leave(number: int) -> None:
        wire = await router.connect()
        await wire.send(get() if number % 3 else post(b"x" * 100_000)[: 50_000 + number])
        for _ in range(number % 7):
            await asyncio.sleep(0)
        wire.abort()

    for begin in range(0, 200, 20):
        await asyncio.gather(*(leave(number) for number in range(begin, begin + 20)))
    answers = await asyncio.gather(*(router.get() for _ in range(20)))
    assert [answer.body for answer in answers] == [b"a"] * 20
    assert instance.most_in_call == 1
    await pool.all_home(1)
