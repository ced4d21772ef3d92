"""The router stops: what is in flight is finished, what is new is refused, nothing is left."""

import asyncio
import socket

import msgspec
import pytest

from plat.feed import Hello
from router.server import serve
from tests.integration.router.conftest import (
    EARLY,
    EARLY_CHUNK,
    RouterProcess,
    RunInstance,
    RunRouter,
    get,
)
from tests.integration.router.instances import Gate
from tests.integration.router.pool_server import PoolServer
from tests.integration.router.wire import until


async def refused(router: RouterProcess) -> None:
    """Wait until nothing listens any more."""
    async with asyncio.timeout(20):
        while True:
            try:
                wire = await router.connect()
            except ConnectionRefusedError:
                return
            await wire.close()


async def test_a_call_in_flight_finishes_and_new_connections_are_refused(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    gate = Gate()
    await run_instance(gate.then_ok)
    wire = await router.connect()
    await wire.send(get())
    await until(lambda: gate.waiting == 1)
    router.begin_stop()
    await refused(router)
    gate.open()
    assert (await wire.answer()).body == b"ok"
    assert await wire.ended() == b""
    await router.stop()


async def test_a_body_under_way_arrives(router: RouterProcess, run_instance: RunInstance) -> None:
    """The client was told nothing: it goes on sending, and its call is finished."""
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(
        b"POST /function/f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + EARLY_CHUNK
    )
    await until(lambda: instance.in_call == 1)
    router.begin_stop()
    await refused(router)
    await wire.send(b"1\r\nb\r\n0\r\n\r\n")
    assert (await wire.answer()).body == b"ok"
    assert instance.requests[0].body == EARLY + b"b"
    await router.stop()


async def test_a_call_that_waits_for_a_slot_is_served(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    wire = await router.connect()
    await wire.send(get())
    await router.until_metrics('plat_queued{function="f"} 1')
    router.begin_stop()
    await refused(router)
    await run_instance()
    assert (await wire.answer()).body == b"ok"
    await router.stop()


async def test_idle_connections_are_closed_at_once(router: RouterProcess, run_instance: RunInstance) -> None:
    await run_instance()
    wire = await router.connect()
    await wire.send(get())
    assert (await wire.answer()).body == b"ok"
    router.begin_stop()
    assert await wire.ended() == b""
    await router.stop()


async def test_a_call_that_takes_too_long_is_cut(run_router: RunRouter, run_instance: RunInstance) -> None:
    router = await run_router(drain_s=0.1)
    gate = Gate()
    instance = await run_instance(gate.then_ok)
    wire = await router.connect()
    await wire.send(get())
    await until(lambda: gate.waiting == 1)
    router.begin_stop()
    assert await wire.ended() == b""
    gate.open()
    await until(lambda: instance.open == 0)
    await router.stop()


async def test_nothing_is_left(router: RouterProcess, pool: PoolServer, run_instance: RunInstance) -> None:
    await run_instance()
    assert (await router.get()).status == 200
    await router.stop()
    await pool.until(lambda: not pool.links)
    left = {task.get_name() for task in asyncio.all_tasks()}
    assert not left & {"pool link", "router tick", "pool link sender", "abandoned call", "upload"}
    assert not list(router.settings.run_dir.glob("router-*.sock"))


async def test_a_port_in_use(pool: PoolServer, run_router: RunRouter) -> None:
    """By another program; routers of one platform share theirs."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        router = await run_router()
        changed = msgspec.structs.replace(router.settings, port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await serve(changed, asyncio.Event(), index=1)
    assert len(pool.heard(Hello)) >= 1
