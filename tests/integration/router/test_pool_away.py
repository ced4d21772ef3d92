"""The pool dies and comes back: calls go on, demand is said again, no slot is lost or doubled."""

import asyncio

from plat.feed import Demand, Faulted, Held, Reclaim, Returned
from plat.tasks import spawn
from tests.integration.router.conftest import RouterProcess, RunInstance, RunRouter, get
from tests.integration.router.instances import Gate
from tests.integration.router.pool_server import PoolServer, route
from tests.integration.router.wire import until


async def test_calls_go_on_with_the_slots_that_are_here(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    instance = await run_instance(slots=2)
    assert (await router.get()).status == 200
    await pool.stop()
    for _ in range(20):
        assert (await router.get()).status == 200
    await pool.start()
    await pool.until(lambda: len(pool.links) == 1 and len(pool.received) > 1)
    assert pool.links[0].hello.held == [Held("a", 1)]
    assert len(instance.requests) == 21


async def test_a_call_in_flight_is_answered(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    gate = Gate()
    await run_instance(gate.then_ok)
    call = spawn(router.get(), "call")
    await until(lambda: gate.waiting == 1)
    await pool.stop()
    gate.open()
    assert (await call).status == 200
    assert (await router.get()).status == 200


async def test_a_call_that_waits_is_said_again(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    call = spawn(router.get(), "call")
    await pool.until(lambda: bool(pool.heard(Demand)))
    await pool.stop()
    pool.received.clear()
    await pool.start()
    await pool.until(lambda: Demand("f-1", 1, 0, 0) in pool.received)
    await run_instance()
    assert (await call).status == 200


async def test_a_call_that_begins_to_wait_while_the_pool_is_away(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    await pool.stop()
    wire = await router.connect()
    await wire.send(get())
    await pool.start()
    await run_instance()
    assert (await wire.answer()).status == 200


async def test_a_fault_while_the_pool_is_away_is_told_later(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    await pool.put(route(timeout_s=0.1))
    gate = Gate()
    await run_instance(gate.then_ok)
    call = spawn(router.get(), "call")
    await until(lambda: gate.waiting == 1)
    await pool.stop()
    assert (await call).status == 504
    await pool.start()
    await pool.until(lambda: pool.heard(Faulted) == [Faulted("a", "timeout")])
    gate.open()


async def test_slots_asked_back_come_when_their_call_ends(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    gate = Gate()
    await run_instance(gate.then_ok)
    call = spawn(router.get(), "call")
    await until(lambda: gate.waiting == 1)
    await pool.send(Reclaim("a", 1))
    assert (await router.metrics()).count("plat_in_flight") > 0
    assert pool.heard(Returned) == []
    gate.open()
    assert (await call).status == 200
    await pool.until(lambda: [each.slots for each in pool.heard(Returned)] == [1])


async def test_idle_slots_go_back_by_themselves(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    pool.routes["f"] = route()
    await pool.put(route())
    instance = await run_instance()
    assert (await router.get()).status == 200
    await pool.all_home(1)
    (returned,) = pool.heard(Returned)
    assert returned.idle_s > 0
    await until(lambda: instance.open == 0)


async def test_routes_change_while_the_pool_is_away(router: RouterProcess, pool: PoolServer) -> None:
    await pool.stop()
    del pool.routes["f"]
    pool.routes["g"] = route("g", stopped=True)
    assert (await router.get("/function/g")).status == 404
    await pool.start()
    await pool.connected()
    for _ in range(1000):
        if (await router.get("/function/g")).status == 503:
            break
    assert (await router.get("/function/g")).status == 503
    assert (await router.get("/function/f")).status == 404


async def test_not_ready_before_the_pool_has_spoken(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance
) -> None:
    await pool.stop()
    router = await run_router(connected=False)
    answer = await router.get()
    assert answer.status == 503
    assert b'"code":"starting"' in answer.body
    assert await router.readyz() == 503
    await pool.start()
    await pool.connected()
    await run_instance()
    await router.until_ready()
    assert (await router.get()).status == 200


async def test_the_pool_comes_and_goes_under_load(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    instances = [await run_instance(name=name) for name in ("a", "b")]
    done = asyncio.Event()
    answers: list[int] = []

    async def client() -> None:
        while not done.is_set():
            answers.append((await router.get()).status)

    async def more(number: int) -> None:
        wanted = len(answers) + number
        await until(lambda: len(answers) >= wanted)

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(client())
        for _ in range(5):
            await more(50)
            await pool.stop()
            await more(50)
            await pool.start()
            await pool.connected()
        done.set()
    assert set(answers) == {200}
    assert all(each.most_in_call == 1 for each in instances)
    await pool.all_home(2)
