"""A listing that is older than what happened while it was made. A driver in memory."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plat.feed import Demand, Grant
from pool.drivers.base import Kind, Running, WarmOrder
from pool.lifecycle import State
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import Clock, Rig, V, connect, eventually, function, settle, states, told

KIND = Kind.of(function().versions[0].spec)


class SlowToList(MemoryDriver):
    """Its listings are as old as `go` is late."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.go.set()

    async def list(self) -> list[Running]:
        found = await super().list()
        await self.go.wait()
        return found


@pytest.fixture
def driver() -> SlowToList:
    return SlowToList()


@pytest.fixture
async def rig(tmp_path: Path, driver: SlowToList, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    Clock().install(monkeypatch)
    rig = Rig(tmp_path, driver, warm=1)
    await rig.open(monkeypatch)
    rig.load(function())
    rig.stock.targets.know({KIND: 1})
    connect(rig, "r1")
    yield rig
    await settle()


async def listing(rig: Rig, driver: SlowToList) -> "asyncio.Task[None]":
    """One that has looked at the machine, and has not said yet what it saw."""
    driver.go.clear()
    task = asyncio.get_running_loop().create_task(rig.list_machine())
    await settle()
    return task


async def make_warm(rig: Rig) -> str:
    rig.stock.refill(1000.0, 10_000)
    await settle()
    (instance,) = rig.stock.ready()
    return instance


async def test_a_warm_one_taken_meanwhile_is_not_handed_out_again(rig: Rig, driver: SlowToList) -> None:
    warm = await make_warm(rig)
    looking = await listing(rig, driver)
    rig.hear("r1", Demand(V, 1, 0, 0))
    await settle()
    assert [each.instance for each in told(rig, Grant)] == [warm]
    driver.go.set()
    await looking
    assert rig.stock.looked_after() == set()
    assert driver.stopped == []


async def test_a_warm_one_that_is_being_made_is_not_adopted_besides(rig: Rig, driver: SlowToList) -> None:
    driver.go.clear()
    driver.hold_warm = True
    rig.stock.refill(1000.0, 10_000)
    await settle()
    (warm,) = driver.running
    looking = await listing(rig, driver)
    driver.go.set()
    await looking
    driver.make_ready(warm)
    await settle()
    assert rig.stock.ready() == {warm}
    assert driver.stopped == []


async def test_one_that_a_listing_does_not_show_yet_is_made_all_the_same(
    rig: Rig, driver: SlowToList
) -> None:
    looking = await listing(rig, driver)
    warm = await make_warm(rig)
    driver.go.set()
    await looking
    assert rig.stock.ready() == {warm}


async def test_an_instance_that_has_gone_meanwhile_is_no_new_one(rig: Rig, driver: SlowToList) -> None:
    rig.hear("r1", Demand(V, 1, 0, 0))
    await settle()
    looking = await listing(rig, driver)
    (instance,) = driver.running
    driver.end(instance)
    await settle()
    driver.go.set()
    await looking
    assert rig.fleet.members() == []


async def test_a_warm_one_that_is_being_stopped_is_no_new_one(rig: Rig, driver: SlowToList) -> None:
    warm = await make_warm(rig)
    looking = await listing(rig, driver)
    rig.stock.give_up(1)
    await settle()
    driver.go.set()
    await looking
    assert warm not in rig.stock.looked_after()


async def test_a_warm_one_that_died_unnoticed_is_passed_over(rig: Rig, driver: SlowToList) -> None:
    """Taken before its end was told: the call gets another, and hears nothing of it."""
    warm = await make_warm(rig)
    del driver.running[warm]
    rig.hear("r1", Demand(V, 1, 0, 0))
    await eventually(lambda: told(rig, Grant))
    assert states(rig) == [State.READY]


async def test_what_is_not_there_any_more_is_gone(rig: Rig, driver: SlowToList) -> None:
    await make_warm(rig)
    rig.hear("r1", Demand(V, 1, 0, 0))
    await settle()
    await driver.warm(WarmOrder("b" * 16, KIND))
    await rig.list_machine()
    assert (len(rig.fleet.members()), rig.stock.ready()) == (1, {"b" * 16})
    driver.running.clear()
    await rig.list_machine()
    assert (rig.fleet.members(), rig.stock.looked_after()) == ([], set())
