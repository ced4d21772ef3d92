"""A call that is cancelled on its way to a slot and a connection: at each place where it waits.

The order of events is forced: served, then cancelled, before the call could run.
"""

import asyncio
from typing import Any, cast

import pytest

from plat.address import Address
from plat.errors import PlatError
from plat.feed import Faulted, Grant, Route, RouteVersion
from router.pace import LeastRate
from router.slots import InstanceSlots
from router.streaming import Call
from router.target import parse_target
from router.upstream import QueueFullError, ShortageError, UnreachableError, UpstreamConnection
from tests.unit.router.tables import calls_of, pool_link

V = "f-1"
VERSION = RouteVersion(V, 1, 1, 30.0)
ROUTE = Route("f", 1, False, "public", 60.0, None, None, (VERSION,))


class Rig:
    """The tables of a router, and connections that are made when the test says so."""

    def __init__(self) -> None:
        self.link = pool_link()
        self.slots = self.link.slots
        self.calls = calls_of(self.link, connect=self._connect)
        self.connecting: list[asyncio.Future[UpstreamConnection]] = []

    async def _connect(self, address: Address) -> UpstreamConnection:
        self.connecting.append(asyncio.get_running_loop().create_future())
        return await self.connecting[-1]

    def call(self) -> "asyncio.Task[tuple[InstanceSlots, UpstreamConnection]]":
        """A call that asks for a slot and a connection."""
        request = cast(Any, None)  # is not looked at before there is a connection
        call = Call(
            self.calls, LeastRate(8192, 10), request, parse_target("/function/f"), ROUTE, VERSION, "id"
        )
        return asyncio.get_running_loop().create_task(call._instance_and_connection())

    def grant(self, instance: str = "a") -> None:
        self.slots.grant(Grant(instance, V, f"unix:/{instance}", 1), 0.0)

    def counts(self) -> tuple[int, int]:
        """Calls that wait, calls in flight."""
        version = self.slots.version(V)
        return version.waiting, version.in_flight

    def is_free(self) -> bool:
        instance = self.slots.take(V, 0.0)
        if instance is not None:
            self.slots.release(instance, 0.0)
        return instance is not None


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def rig() -> Rig:
    return Rig()


async def cancelled(call: "asyncio.Task[tuple[InstanceSlots, UpstreamConnection]]") -> None:
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()


async def test_cancelled_while_it_waits(rig: Rig) -> None:
    call = rig.call()
    await settle()
    assert rig.counts() == (1, 0)
    await cancelled(call)
    assert rig.counts() == (0, 0)
    rig.grant()
    assert rig.is_free()


async def test_handed_a_slot_and_cancelled_before_it_could_run(rig: Rig) -> None:
    call = rig.call()
    await settle()
    rig.grant()
    assert rig.counts() == (0, 1)
    await cancelled(call)
    assert rig.counts() == (0, 0)
    assert rig.is_free()


async def test_cancelled_and_then_served_before_it_could_run(rig: Rig) -> None:
    call = rig.call()
    await settle()
    call.cancel()
    rig.grant()
    await asyncio.wait([call])
    assert rig.counts() == (0, 0)
    assert rig.is_free()


async def test_what_it_was_handed_goes_to_the_next(rig: Rig) -> None:
    first, second = rig.call(), rig.call()
    await settle()
    rig.grant()
    await cancelled(first)
    await settle()
    assert rig.counts() == (0, 1)
    assert len(rig.connecting) == 1
    await cancelled(second)
    assert rig.is_free()


async def test_too_late_and_cancelled_at_once(rig: Rig) -> None:
    call = rig.call()
    await settle()
    rig.slots.fail_waiters(V, PlatError("no_instance", "late"))
    await cancelled(call)
    rig.grant()
    assert rig.is_free()
    assert rig.counts() == (0, 0)


async def test_too_late_leaves_the_queue(rig: Rig) -> None:
    rig.calls.queue_timeout_s = 0.0
    with pytest.raises(PlatError) as late:
        await rig.call()
    assert late.value.code == "no_instance"
    assert rig.counts() == (0, 0)


async def test_cancelled_before_its_first_step(rig: Rig) -> None:
    rig.grant()
    await cancelled(rig.call())
    assert rig.is_free()
    assert rig.connecting == []


async def test_cancelled_while_it_connects(rig: Rig) -> None:
    rig.grant()
    call = rig.call()
    await settle()
    assert rig.counts() == (0, 1)
    await cancelled(call)
    assert rig.counts() == (0, 0)
    assert rig.is_free()


async def test_connected_and_cancelled_before_it_could_run(rig: Rig) -> None:
    rig.grant()
    call = rig.call()
    await settle()
    rig.connecting[0].set_result(UpstreamConnection())
    await cancelled(call)
    assert rig.is_free()


async def test_unreachable_and_cancelled_before_it_could_run(rig: Rig) -> None:
    rig.grant()
    call = rig.call()
    await settle()
    rig.connecting[0].set_exception(UnreachableError("nobody listens"))
    await cancelled(call)
    assert rig.counts() == (0, 0)
    assert rig.is_free()


async def test_unreachable_costs_another_attempt_and_the_instance(rig: Rig) -> None:
    rig.grant("a")
    call = rig.call()
    await settle()
    rig.connecting[0].set_exception(UnreachableError("nobody listens"))
    await settle()
    assert rig.counts() == (1, 0)
    assert rig.link._faults == [Faulted("a", "unreachable")]
    rig.grant("b")
    await settle()
    upstream = UpstreamConnection()
    rig.connecting[1].set_result(upstream)
    instance, connection = await call
    assert (instance.id, connection) == ("b", upstream)
    assert rig.counts() == (0, 1)


@pytest.mark.parametrize(
    ("error", "code"),
    [(ShortageError("files"), "too_many_connections"), (QueueFullError("full"), "no_instance")],
)
async def test_a_shortage_here_costs_no_instance(rig: Rig, error: ShortageError, code: str) -> None:
    rig.grant()
    call = rig.call()
    await settle()
    rig.connecting[0].set_exception(error)
    with pytest.raises(PlatError) as raised:
        await call
    assert (raised.value.code, raised.value.status, raised.value.retry_after) == (code, 503, "1")
    assert rig.counts() == (0, 0)
    assert rig.is_free()
    assert rig.link._faults == []


async def test_an_address_that_is_none_loses_no_slot(rig: Rig) -> None:
    rig.slots.grant(Grant("a", V, "nonsense", 1), 0.0)
    with pytest.raises(ValueError, match="nonsense"):
        await rig.call()
    assert rig.is_free()
