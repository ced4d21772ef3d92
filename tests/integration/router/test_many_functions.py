"""A router with thousands of functions, and what calls see of a table that is being told again."""

import asyncio

import msgspec
import pytest

from plat.feed import RouteDropped, whole_table
from tests.integration.router.conftest import RouterProcess, RunInstance, RunRouter
from tests.integration.router.pool_server import PoolServer, route

MANY = 5000
LAST = f"many-{MANY - 1:05}"
STOPPED = f"many-{MANY - 2:05}"
"""Its calls are answered 503 as long as the router knows it, and then 404."""


@pytest.fixture
def many(pool: PoolServer) -> PoolServer:
    for number in range(MANY):
        name = f"many-{number:05}"
        pool.routes[name] = route(name, stopped=name == STOPPED)
    return pool


class Halfway:
    """Stops a table in its middle, until told to go on or to break off."""

    def __init__(self, pool: PoolServer) -> None:
        parts = sum(1 for _ in whole_table([], pool.routes.values()))
        assert parts > 20
        self._middle = parts // 2
        self.reached = asyncio.Event()
        self._go_on = asyncio.Event()
        self._breaks = False
        pool.before_part = self

    async def __call__(self, number: int) -> None:
        if number == self._middle:
            self.reached.set()
            await self._go_on.wait()
            if self._breaks:
                self._breaks = False
                raise ConnectionResetError

    def go_on(self) -> None:
        self._go_on.set()

    def break_off(self) -> None:
        self._breaks = True
        self._go_on.set()


async def test_the_last_of_many_is_called_like_the_first(
    many: PoolServer, run_router: RunRouter, run_instance: RunInstance
) -> None:
    router = await run_router()
    await run_instance()
    await many.add("b", many.addresses["a"][1], 1, version=f"{LAST}-1")
    await router.until_ready()
    for name in ("f", LAST):
        assert (await router.get(f"/function/{name}")).status == 200
    assert (await router.get(f"/function/many-{MANY:05}")).status == 404


async def test_before_its_first_table_is_whole_a_router_calls_what_it_knows(
    many: PoolServer, run_router: RunRouter, run_instance: RunInstance
) -> None:
    halfway = Halfway(many)
    router = await run_router(connected=False)
    await halfway.reached.wait()
    assert await router.readyz() == 503
    unknown = await router.get(f"/function/{LAST}")
    assert (unknown.status, b'"starting"' in unknown.body) == (503, True)
    halfway.go_on()
    await router.until_ready()
    await run_instance()
    assert (await router.get()).status == 200


async def test_calls_go_on_while_the_table_is_told_again(
    many: PoolServer, router: RouterProcess, run_instance: RunInstance
) -> None:
    """One that has changed is new at once, one that is gone is there to the end; neither is ever missing."""
    await run_instance(slots=4)
    await router.until_ready()
    await many.stop()
    del many.routes[STOPPED]
    many.routes["f"] = msgspec.structs.replace(many.routes["f"], auth="token")
    halfway = Halfway(many)
    await many.start()
    await halfway.reached.wait()
    while (await router.get()).status != 401:
        pass
    assert (await router.get(f"/function/{STOPPED}")).status == 503
    halfway.go_on()
    while (await router.get(f"/function/{STOPPED}")).status == 503:
        pass
    assert (await router.get(f"/function/{STOPPED}")).status == 404


async def test_a_table_that_breaks_off_takes_nothing_away(
    many: PoolServer, router: RouterProcess, run_instance: RunInstance
) -> None:
    await run_instance(slots=4)
    await router.until_ready()
    await many.stop()
    halfway = Halfway(many)
    await many.start()
    await halfway.reached.wait()
    halfway.break_off()
    await many.connected()
    assert (await router.get()).status == 200
    assert (await router.get(f"/function/{STOPPED}")).status == 503
    await many.send(RouteDropped("f"))
    while (await router.get()).status != 404:
        pass
