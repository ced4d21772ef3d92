"""Waiting for a slot: order, bounds, deadlines, limits; and that no instance ever sees a call too many."""

import asyncio

import msgspec
import pytest

from plat.feed import Demand
from plat.tasks import spawn
from tests.integration.router.conftest import RouterProcess, RunInstance, RunRouter
from tests.integration.router.instances import Gate, say_ok
from tests.integration.router.pool_server import PoolServer, route
from tests.integration.router.wire import Message, Wire, until


async def queued(pool: PoolServer, calls: int) -> None:
    await pool.until(lambda: any(each.queued == calls for each in pool.heard(Demand)))


async def test_a_call_asks_for_an_instance_and_waits_for_it(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    call = spawn(router.get(), "call")
    await pool.until(lambda: Demand("f-1", 1, 0, 0) in pool.received)
    await run_instance()
    assert (await call).status == 200
    await pool.until(lambda: pool.heard(Demand)[-1].queued == 0)


async def test_calls_are_served_in_their_order(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    calls = []
    for number in range(8):
        calls.append(spawn(router.get(f"/function/f/{number}"), "call"))
        await queued(pool, number + 1)
    instance = await run_instance()
    assert [answer.status for answer in await asyncio.gather(*calls)] == [200] * 8
    assert [each.target for each in instance.requests] == [b"/%d" % number for number in range(8)]
    assert instance.most_in_call == 1


@pytest.mark.parametrize("slots", [1, 3])
async def test_an_instance_never_sees_more_calls_than_its_slots(
    router: RouterProcess, run_instance: RunInstance, slots: int
) -> None:
    instance = await run_instance(slots=slots)
    answers = await asyncio.gather(*(router.get() for _ in range(200)))
    assert {answer.status for answer in answers} == {200}
    assert instance.most_in_call <= slots
    assert len(instance.requests) == 200


async def test_two_routers_together_never_send_too_many(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance
) -> None:
    """Both listen on the same port (SO_REUSEPORT); the pool gives each slot to one of them."""
    routers = [await run_router(routers=2), await run_router(routers=2)]
    instances = [await run_instance(name=name, slots=2) for name in ("a", "b")]
    for _ in range(5):
        calls = [routers[number % 2].get() for number in range(60)]
        assert {answer.status for answer in await asyncio.gather(*calls)} == {200}
    assert sum(len(each.requests) for each in instances) == 300
    assert all(each.most_in_call <= 2 for each in instances)
    served = [link.hello.router for link in pool.links]
    assert len(set(served)) == 2
    await pool.all_home(4)


async def test_a_full_queue_refuses_at_once(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance
) -> None:
    router = await run_router(queue_limit=2)
    waiting = [spawn(router.get(), "call") for _ in range(2)]
    await queued(pool, 2)
    refused = await router.get()
    assert (refused.status, refused.get("Retry-After")) == (429, "1")
    assert msgspec.json.decode(refused.body)["code"] == "queue_full"
    await run_instance()
    assert [answer.status for answer in await asyncio.gather(*waiting)] == [200, 200]


async def test_a_call_waits_no_longer_than_the_limit(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance
) -> None:
    router = await run_router(queue_timeout_s=0.1)
    answer = await router.get()
    assert (answer.status, answer.get("Retry-After")) == (503, "1")
    assert msgspec.json.decode(answer.body)["code"] == "no_instance"
    await pool.until(lambda: bool(pool.heard(Demand)) and pool.heard(Demand)[-1].queued == 0)
    await run_instance()
    assert (await router.get()).status == 200


async def test_the_rate_limit(router: RouterProcess, pool: PoolServer, run_instance: RunInstance) -> None:
    await pool.put(route(rate=0.01, burst=3))
    instance = await run_instance()
    answers = [await router.get() for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert int(answers[-1].get("Retry-After") or 0) >= 90
    assert msgspec.json.decode(answers[-1].body)["code"] == "rate_limited"
    assert len(instance.requests) == 3
    assert 'plat_rate_limited_total{function="f"} 2' in await router.metrics()


async def test_functions_that_cannot_be_called(router: RouterProcess, pool: PoolServer) -> None:
    await pool.put(
        route("stopped", stopped=True), msgspec.structs.replace(route("new"), live=None, versions=[])
    )
    for name, status, code in [
        ("other", 404, "function_not_found"),
        ("stopped", 503, "function_stopped"),
        ("new", 503, "function_not_deployed"),
        ("f:9", 404, "version_not_found"),
        ("f:blue", 404, "version_not_found"),
    ]:
        answer = await router.get(f"/function/{name}")
        assert (answer.status, msgspec.json.decode(answer.body)["code"]) == (status, code)


async def test_unlimited_concurrency_queues_nobody(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    await pool.put(route(concurrency=0))
    gate = Gate()
    await run_instance(gate.then_ok, slots=1_000_000)
    calls = [spawn(router.get(), "call") for _ in range(50)]
    await until(lambda: gate.waiting == 50)
    gate.open()
    assert {answer.status for answer in await asyncio.gather(*calls)} == {200}


async def test_what_is_counted(router: RouterProcess, run_instance: RunInstance) -> None:
    gate = Gate()

    async def behave(wire: Wire, request: Message) -> None:
        await gate.pass_through()
        await say_ok(wire, request)

    instance = await run_instance(behave)
    first = spawn(router.get(), "call")
    await until(lambda: instance.in_call == 1)
    assert 'plat_in_flight{function="f"} 1' in await router.metrics()
    gate.open()
    await first
    await router.get("/function/other")
    text = await router.metrics()
    assert 'plat_invocations_total{function="f",code="200"} 1' in text
    assert 'plat_invocations_total{function="",code="404"} 1' in text
    assert 'plat_in_flight{function="f"} 0' in text
    assert "plat_queue_seconds_count 1" in text
