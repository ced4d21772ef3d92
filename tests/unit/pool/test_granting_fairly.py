"""Routers that hold slots of a function with `max_in_flight`: nobody's idle slot keeps another's call out."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plat.feed import Demand, FromRouter, Grant, Reclaim
from pool.service import TICK_S
from router.slots import SlotTable, VersionSlots, Waiter
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import Clock, Rig, connect, function, settle


async def told_in_a_pool(story: Callable[[Rig, Clock], Awaitable[None]]) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        clock.install(patch)
        rig = Rig(Path(folder), MemoryDriver(), routers=3)
        await rig.open(patch)
        rig.load()
        await story(rig, clock)
        await settle()


def function_put(rig: Rig, concurrency: int, most: int) -> None:
    """Of two versions."""
    entry = function(concurrency=concurrency, maximum=10, number=2)
    entry = msgspec.structs.replace(entry, max_in_flight=most)
    rig.table.put(entry)
    rig.dispatcher.function_put(entry)


class Router:
    """A router's table, whose calls end when they are told to."""

    def __init__(self, name: str, rig: Rig) -> None:
        self.name, self._rig = name, rig
        self.calls: list[Waiter] = []
        self._grants_seen = 0
        self.slots = SlotTable(self._send, self._demand, queue_limit=1000)
        connect(rig, name)

    def call(self, version: str) -> Waiter:
        instance = self.slots.take(version, 0.0)
        future = asyncio.get_running_loop().create_future
        waiter = Waiter(future()) if instance else self.slots.wait(version, 0.0, future)
        assert isinstance(waiter, Waiter)
        if instance is not None:
            waiter.offer(instance)
        self.calls.append(waiter)
        return waiter

    def end_calls(self, keep: int) -> None:
        """All that were served, but for those that came last."""
        served = [call for call in self.calls if call.future.done()]
        for call in served[: max(0, len(served) - keep)]:
            self.calls.remove(call)
            self.slots.release(call.future.result(), 0.0)

    def hear(self) -> None:
        said = self._rig.sent[self.name]
        messages, said[:] = list(said), []
        for message in messages:
            if isinstance(message, Grant):
                self._grants_seen += 1
                self.slots.grant(message, 0.0)
            elif isinstance(message, Reclaim):
                self.slots.reclaim(message, 0.0)

    @property
    def in_flight(self) -> int:
        return sum(each.in_flight for each in self.slots.versions())

    def _send(self, message: FromRouter) -> None:
        self._rig.hear(self.name, message)

    def _demand(self, version: VersionSlots) -> None:
        self._send(Demand(version.id, version.waiting, version.in_flight, self._grants_seen))


async def talk(rig: Rig, clock: Clock, routers: list[Router], most: int) -> None:
    """All there is to say, and a tick of the pool's."""
    clock.now += TICK_S
    rig.tick()
    await settle()
    while any(rig.sent[router.name] for router in routers):
        for router in routers:
            router.hear()
        await settle()
        assert sum(router.in_flight for router in routers) <= most


TICKS = 10
"""An instance has at least one of at most 8 slots; every tick another is asked."""

PLACES = [(router, version) for router in range(3) for version in ("f-1", "f-2")]


@settings(deadline=None, max_examples=60)
@given(
    concurrency=st.sampled_from([0, 1, 2, 8]),
    most=st.integers(1, 8),
    peaks=st.lists(st.tuples(st.sampled_from(PLACES), st.integers(1, 8)), max_size=6),
    long_ones=st.tuples(*[st.integers(0, 2)] * 3),
    last=st.sampled_from(PLACES),
)
def test_who_waits_is_served_as_soon_as_fewer_calls_are_in_flight_than_may_be(
    concurrency: int,
    most: int,
    peaks: list[tuple[tuple[int, str], int]],
    long_ones: tuple[int, int, int],
    last: tuple[int, str],
) -> None:
    """Wherever slots lie after any peaks, some of them with a call that does not end."""

    async def story(rig: Rig, clock: Clock) -> None:
        function_put(rig, concurrency, most)
        routers = [Router(f"r{number}", rig) for number in range(3)]
        for (place, version), calls in peaks:
            for _ in range(calls):
                routers[place].call(version)
            await talk(rig, clock, routers, most)
        for _ in range(16):
            for router, keep in zip(routers, long_ones, strict=True):
                router.end_calls(keep)
            await talk(rig, clock, routers, most)
        waiting = [call for router in routers for call in router.calls if not call.future.done()]
        in_flight = sum(router.in_flight for router in routers)
        assert not waiting or in_flight == most
        if in_flight < most:
            call = routers[last[0]].call(last[1])
            for _ in range(TICKS):
                await talk(rig, clock, routers, most)
            assert call.future.done()

    asyncio.run(told_in_a_pool(story))


async def test_a_call_of_one_version_that_ends_makes_way_for_another_version_s_at_once(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with the next tick."""
    rig = Rig(tmp_path, MemoryDriver())
    await rig.open(monkeypatch)
    rig.load()
    function_put(rig, concurrency=1, most=1)
    router = Router("r1", rig)
    router.call("f-1")
    await settle()
    router.hear()
    waiting = router.call("f-2")
    await settle()
    router.hear()
    assert not waiting.future.done()
    router.end_calls(keep=0)
    await settle()
    router.hear()
    assert waiting.future.done()
    router.end_calls(keep=0)
    await settle()
