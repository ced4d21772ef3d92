"""Which connections are there before a call needs them. When one opens, or answers, is up to the test."""

import asyncio

import pytest

from plat.address import Address
from plat.feed import Grant
from router.ahead import HEALTH, Ahead
from router.slots import InstanceSlots
from router.upstream import UnreachableError, UpstreamConnection
from tests.unit.router.memory import MemoryTransport
from tests.unit.router.tables import pool_link

V = "version-1"


def answer(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, more, len(body), body)


READY = answer(b'{"function": "f", "version": 1, "in_flight": 0}')


class Instances:
    """What a router connects to, and holds slots of."""

    def __init__(self) -> None:
        self.slots = pool_link().slots
        self.ahead = Ahead(lambda instance: self.slots.loaded(instance, 0), self._connect)
        self.opened: list[UpstreamConnection] = []
        self.transports: list[MemoryTransport] = []
        self.may_open = asyncio.Event()
        self.may_open.set()
        self.refuses = False

    async def _connect(self, address: Address) -> UpstreamConnection:
        await self.may_open.wait()
        if self.refuses:
            raise UnreachableError(f"{address}: nobody is there")
        upstream, transport = UpstreamConnection(), MemoryTransport()
        upstream.connection_made(transport)
        self.opened.append(upstream)
        self.transports.append(transport)
        return upstream

    async def granted(self, slots: int = 1, *, loading: bool = False) -> InstanceSlots:
        instance = self.slots.grant(Grant("a", V, "unix:/a", slots, loading), 0)
        self.ahead.granted(instance, slots)
        await settle()
        return instance

    async def says(self, data: bytes) -> None:
        """The instance, over the first connection."""
        self.opened[0].data_received(data)
        await settle()


async def settle() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


@pytest.fixture
async def instances() -> Instances:
    return Instances()


async def test_a_connection_for_each_slot(instances: Instances) -> None:
    instance = await instances.granted(slots=3)
    assert len(instance.connections) == 3
    assert [each.written for each in instances.transports] == [b""] * 3


async def test_one_that_loads_is_asked_once_whether_it_is_ready(instances: Instances) -> None:
    instance = await instances.granted(loading=True)
    await instances.granted(loading=True)
    assert [each.written for each in instances.transports] == [HEALTH]
    assert (instance.connections, instance.loading) == ([], True)


@pytest.mark.parametrize("pieces", [1, len(READY)])
async def test_a_call_that_waits_finds_the_connection_in_the_same_turn(
    instances: Instances, pieces: int
) -> None:
    waiting: asyncio.Future[InstanceSlots] = asyncio.get_running_loop().create_future()
    instances.slots.wait(V, 0, lambda: waiting)
    found: list[list[object]] = []
    waiting.add_done_callback(lambda done: found.append(list(done.result().connections)))
    await instances.granted(loading=True)
    step = len(READY) // pieces
    for start in range(0, len(READY), step):
        assert not waiting.done()
        await instances.says(READY[start : start + step])
    assert found == [instances.opened]
    assert not instances.opened[0].closed
    assert not instances.opened[0].used, "a call that it breaks under may have been executed"


async def test_the_others_are_opened_when_it_is_ready(instances: Instances) -> None:
    instance = await instances.granted(slots=3, loading=True)
    assert len(instances.opened) == 1
    await instances.says(READY)
    assert len(instance.connections) == 3


@pytest.mark.parametrize(
    "said",
    [
        answer(b'{"warm": true}'),
        answer(b'{"code": "handler_import_failed", "detail": "."}', b"503 Service Unavailable"),
        answer(b'{"function": "f"}', more=b"Connection: close\r\n"),
        answer(b"not JSON"),
        answer(b'{"function": 1}'),
        answer(b'{"function": "f"}') + b"more",
        b"no HTTP at all\r\n\r\n",
    ],
)
async def test_any_other_answer_leaves_it_to_the_pool(instances: Instances, said: bytes) -> None:
    instance = await instances.granted(loading=True)
    await instances.says(said)
    assert (instance.loading, instance.connections, instances.opened[0].closed) == (True, [], True)
    instances.slots.loaded("a", 0)
    assert instances.slots.take(V, 0) is instance


async def test_one_that_ends_while_it_is_asked_leaves_it_to_the_pool(instances: Instances) -> None:
    instance = await instances.granted(loading=True)
    instances.opened[0].connection_lost(None)
    await settle()
    assert (instance.loading, instance.connections) == (True, [])


async def test_nobody_is_asked_any_more_when_it_is_gone(instances: Instances) -> None:
    await instances.granted(loading=True)
    instances.slots.drop("a")
    instances.ahead.ended("a")
    await settle()
    assert instances.opened[0].closed


async def test_one_that_is_promised_anew_is_asked_anew(instances: Instances) -> None:
    """The link to the pool broke meanwhile."""
    await instances.granted(loading=True)
    instances.slots.forget_promises()
    instance = await instances.granted(loading=True)
    assert [each.closed for each in instances.opened] == [True, False]
    instances.opened[1].data_received(READY)
    await settle()
    assert instance.connections == instances.opened[1:]
    assert not instance.loading


async def test_what_the_pool_says_first_is_true_too(instances: Instances) -> None:
    instance = await instances.granted(loading=True)
    instances.slots.loaded("a", 0)
    assert instances.slots.take(V, 0) is instance
    await instances.says(READY)
    assert instance.connections == instances.opened
    assert instances.slots.take(V, 0) is None


@pytest.mark.parametrize("loading", [False, True])
async def test_an_instance_out_of_reach_is_for_the_call_to_find(instances: Instances, loading: bool) -> None:
    instances.refuses = True
    instance = await instances.granted(loading=loading)
    assert instance.connections == []


@pytest.mark.parametrize("loading", [False, True])
async def test_a_connection_to_an_instance_that_went_meanwhile_is_closed(
    instances: Instances, loading: bool
) -> None:
    instances.may_open.clear()
    instance = await instances.granted(loading=loading)
    instances.slots.drop("a")
    instances.ahead.ended("a")
    instances.may_open.set()
    await settle()
    assert instance.connections == []
    assert all(each.closed for each in instances.opened)
