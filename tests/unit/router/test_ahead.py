"""Which connections are there before a call needs them. Connecting ends when the test says so."""

import asyncio

import pytest

from plat.address import Address
from plat.feed import Coming, Grant
from router import ahead
from router.ahead import Ahead
from router.slots import InstanceSlots
from router.upstream import UnreachableError, UpstreamConnection
from tests.unit.router.memory import MemoryTransport
from tests.unit.router.tables import pool_link

V = "version-1"


class Instances:
    """What a router connects to, and holds slots of."""

    def __init__(self) -> None:
        self.ahead = Ahead(self._connect)
        self.slots = pool_link().slots
        self.opened: list[UpstreamConnection] = []
        self.may_open = asyncio.Event()
        self.may_open.set()
        self.refuses = False

    async def _connect(self, address: Address) -> UpstreamConnection:
        await self.may_open.wait()
        if self.refuses:
            raise UnreachableError(f"{address}: nobody is there")
        upstream = UpstreamConnection()
        upstream.connection_made(MemoryTransport())
        self.opened.append(upstream)
        return upstream

    async def coming(self, instance: str = "a") -> None:
        self.ahead.coming(Coming(instance, f"unix:/{instance}"))
        await settle()

    async def granted(self, slots: int = 1) -> InstanceSlots:
        instance = self.slots.grant(Grant("a", V, "unix:/a", slots), 0)
        self.ahead.granted(instance, slots)
        await settle()
        return instance


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def instances() -> Instances:
    return Instances()


async def test_a_connection_for_each_slot(instances: Instances) -> None:
    instance = await instances.granted(slots=3)
    assert len(instance.connections) == 3


async def test_what_is_coming_is_connected_when_it_is_granted(instances: Instances) -> None:
    await instances.coming()
    (early,) = instances.opened
    instance = await instances.granted()
    assert instance.connections == [early]
    assert instances.opened == [early]


async def test_a_call_that_waits_finds_the_connection_in_the_same_turn(instances: Instances) -> None:
    """The table hands the slot over, then `granted` is told: the call goes on after that."""
    await instances.coming()
    instance = instances.slots.grant(Grant("a", V, "unix:/a", 1), 0)
    instances.ahead.granted(instance, 1)
    assert instance.connections == instances.opened


async def test_a_grant_that_overtakes_the_connection_gets_it_later(instances: Instances) -> None:
    instances.may_open.clear()
    await instances.coming()
    instance = await instances.granted()
    assert instance.connections == []
    instances.may_open.set()
    await settle()
    assert len(instance.connections) == instance.granted
    assert sum(not each.closed for each in instances.opened) == 1


@pytest.mark.parametrize("is_open", [True, False], ids=["connected", "connecting"])
async def test_what_never_comes_is_let_go(instances: Instances, is_open: bool) -> None:
    if not is_open:
        instances.may_open.clear()
    await instances.coming()
    instances.ahead.ended("a")
    instances.may_open.set()
    await settle()
    assert [each.closed for each in instances.opened] == [True]
    instance = await instances.granted()
    assert instance.connections == [instances.opened[1]]


async def test_so_many_wait_at_most(instances: Instances, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "COMING", 2)
    for name in ("a", "b", "c"):
        await instances.coming(name)
    assert [each.closed for each in instances.opened] == [True, False, False]


async def test_an_instance_out_of_reach_is_for_the_call_to_find(instances: Instances) -> None:
    instances.refuses = True
    await instances.coming()
    instance = await instances.granted()
    assert instance.connections == []


async def test_a_connection_to_an_instance_that_went_meanwhile_is_closed(instances: Instances) -> None:
    instances.may_open.clear()
    instance = await instances.granted()
    instances.slots.drop("a")
    instances.may_open.set()
    await settle()
    assert instance.connections == []
    assert all(each.closed for each in instances.opened)
