"""Instances made of warm ones, paused and resumed, and as many as memory allows. A driver in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from plat.errors import PlatError
from plat.feed import Demand, FunctionEntry, Grant, MemoryPressure, Returned, StartFailed
from plat.model import Window
from pool.health import UselessError
from pool.lifecycle import State
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import Clock, Rig, V, connect, eventually, function, granted, settle, states, told

PLENTY = 100_000
MakeRig = Callable[..., Awaitable[Rig]]


@pytest.fixture
async def make(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakeRig]:
    async def make(*functions: FunctionEntry, warm: int = 0, memory_mb: int = 0) -> Rig:
        rig = Rig(tmp_path, MemoryDriver(), warm=warm, memory_mb=memory_mb)
        await rig.open(monkeypatch)
        rig.load(*(functions or (function(),)))
        connect(rig, "r1")
        return rig

    yield make
    await settle()


def pausing(name: str = "f", *, pause_after_s: float = 10.0, minimum: int = 0) -> FunctionEntry:
    return msgspec.structs.replace(function(name, minimum=minimum), pause_after_s=pause_after_s)


async def warm_up(rig: Rig) -> None:
    rig.stock.targets.know(rig.table.kinds)
    for _ in range(3):
        rig.stock.refill(1000.0, PLENTY)
        await settle()


async def use(rig: Rig, name: str = "f", queued: int = 1) -> list[str]:
    """Calls come and end; the router gives the slots back. The instances they were in."""
    rig.sent["r1"].clear()
    rig.hear("r1", Demand(f"{name}-1", queued, 0, rig.seen("r1")))
    await settle()
    used = [grant.instance for grant in told(rig, Grant)]
    for instance in used:
        rig.hear("r1", Returned(instance, 1, 0.0))
    await settle()
    return used


# --- warm


async def test_a_cold_start_takes_a_warm_instance(make: MakeRig) -> None:
    rig = await make(warm=2)
    await warm_up(rig)
    (grant,) = await granted(rig)
    assert rig.driver.placed == [grant.instance]
    assert rig.driver.starts == 0
    assert rig.fleet.views("f")[0].state == "ready"


async def test_more_than_are_warm_are_started(make: MakeRig) -> None:
    rig = await make(warm=2)
    await warm_up(rig)
    assert len(await granted(rig, queued=3)) == 3
    assert (len(rig.driver.placed), rig.driver.starts) == (2, 1)


async def test_a_warm_instance_that_is_of_no_use_is_replaced(make: MakeRig) -> None:
    rig = await make(warm=1)
    await warm_up(rig)
    rig.driver.load_error = UselessError("nothing listens")
    (grant,) = await granted(rig)
    assert rig.driver.starts == 1
    assert grant.instance not in rig.driver.placed
    assert [each.instance for each in await rig.driver.list()] == [grant.instance]


async def test_one_that_dies_while_it_loads_fails_as_a_start_does(make: MakeRig) -> None:
    rig = await make(warm=1)
    await warm_up(rig)
    rig.driver.hold_load = True
    await granted(rig)
    assert states(rig) == [State.LOADING]
    rig.driver.end(rig.driver.placed[0], "signalled", "It was killed by SIGKILL.")
    async with asyncio.timeout(20):
        while rig.fleet.members():  # noqa: ASYNC110 - its last lines are read on a thread
            await asyncio.sleep(0.001)
    assert rig.fleet.backoff.failure_count(V) == 1


async def test_a_handler_that_fails_is_not_tried_again_in_another(make: MakeRig) -> None:
    rig = await make(warm=2)
    await warm_up(rig)
    rig.driver.load_error = PlatError("handler_not_found", "no such function")
    await granted(rig)
    assert len(rig.driver.placed) == 1
    assert rig.driver.starts == 0
    assert rig.fleet.members() == []


# --- paused


async def test_an_idle_instance_is_paused_and_resumed_by_the_next_call(make: MakeRig, clock: Clock) -> None:
    rig = await make(pausing())
    (instance,) = await use(rig)
    clock.now += 10
    rig.tick()
    await settle()
    assert states(rig) == [State.PAUSED]
    assert rig.driver.paused == {instance}
    (grant,) = await granted(rig)
    assert grant.instance == instance
    assert rig.driver.paused == set()
    assert rig.driver.starts == 1


async def test_a_minimum_is_not_paused(make: MakeRig, clock: Clock) -> None:
    rig = await make(pausing(minimum=1))
    await use(rig, queued=2)
    clock.now += 20
    rig.tick()
    await settle()
    assert states(rig) == [State.PAUSED, State.READY]


async def test_a_paused_instance_is_stopped_in_time(make: MakeRig, clock: Clock) -> None:
    rig = await make(pausing())
    await use(rig)
    for _ in range(6):
        clock.now += 10
        rig.tick()
        await settle()
    assert rig.fleet.members() == []


async def test_what_cannot_be_paused_goes_on_and_is_paused_later(make: MakeRig, clock: Clock) -> None:
    rig = await make(pausing())
    await use(rig)
    rig.driver.pause_error = PlatError("engine_unavailable", "no answer")
    for later_s in (10, 0.5):
        clock.now += later_s
        rig.tick()
        await settle()
        assert (states(rig), rig.driver.pauses) == ([State.READY], 1)
    rig.driver.pause_error = None
    clock.now += 0.5
    rig.tick()
    await settle()
    assert (states(rig), rig.driver.pauses) == ([State.PAUSED], 2)
    assert len(await granted(rig)) == 1


async def test_what_cannot_be_resumed_is_replaced(make: MakeRig, clock: Clock) -> None:
    rig = await make(pausing())
    (instance,) = await use(rig)
    clock.now += 10
    rig.tick()
    await settle()
    rig.driver.resume_error = PlatError("engine_unavailable", "no answer")
    (grant,) = await granted(rig)
    assert grant.instance != instance
    assert rig.driver.starts == 2


async def test_who_waits_for_a_paused_instance_is_told_at_once_that_the_engine_is_away(
    make: MakeRig, clock: Clock
) -> None:
    rig = await make(pausing())
    await use(rig)
    clock.now += 10
    rig.tick()
    await settle()
    away = PlatError("engine_unavailable", "no answer")
    rig.driver.resume_error = rig.driver.start_error = rig.driver.stop_error = away
    assert await granted(rig) == []
    assert [each.code for each in told(rig, StartFailed)] == ["engine_unavailable"]
    rig.driver.stop_error = None


async def test_a_paused_instance_that_dies_is_forgotten(make: MakeRig, clock: Clock) -> None:
    rig = await make(pausing())
    (instance,) = await use(rig)
    clock.now += 10
    rig.tick()
    await settle()
    rig.driver.end(instance)
    await settle()
    assert rig.fleet.members() == []
    assert len(await granted(rig)) == 1


async def test_a_deploy_stops_paused_instances_of_the_old_version(make: MakeRig, clock: Clock) -> None:
    rig = await make(pausing())
    await use(rig)
    clock.now += 10
    rig.tick()
    await settle()
    entry = function(number=2)
    rig.table.put(entry)
    rig.dispatcher.function_put(entry)
    await settle()
    assert rig.fleet.members() == []


# --- places to start


async def test_places_to_start_go_round(make: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that needs many leaves the next place to one that has none."""
    monkeypatch.setattr("pool.scaler.START_PLACES", 2)
    rig = await make(function("f", maximum=9), function("g"))
    rig.driver.hold_ready = True
    rig.hear("r1", Demand("f-1", 9, 0, rig.seen("r1")))
    rig.hear("r1", Demand("g-1", 1, 0, rig.seen("r1")))
    await settle()
    [first, _] = rig.driver.running
    rig.driver.make_ready(first)
    await eventually(lambda: rig.driver.starts == 3)
    assert sorted(each.function for each in rig.driver.running.values()) == ["f", "f", "g"]
    for instance in list(rig.driver.running):
        if instance != first:
            rig.driver.make_ready(instance)


async def test_while_calls_wait_for_places_no_warm_instance_takes_the_machine_s_time(
    make: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pool.scaler.START_PLACES", 2)
    rig = await make(function("f", maximum=9))
    assert not rig.dispatcher.scaler.calls_are_short
    rig.driver.hold_ready = True
    rig.hear("r1", Demand("f-1", 3, 0, rig.seen("r1")))
    await settle()
    assert rig.dispatcher.scaler.calls_are_short
    for instance in list(rig.driver.running):
        rig.driver.make_ready(instance)
    await settle()
    assert not rig.dispatcher.scaler.calls_are_short
    await eventually(lambda: rig.driver.starts == 3)
    rig.driver.make_ready(list(rig.driver.running)[-1])


# --- memory


async def test_an_idle_instance_makes_room(make: MakeRig) -> None:
    rig = await make(function("f"), function("g"), memory_mb=256)
    assert len(await use(rig, "f", 2)) == 2
    assert len(await use(rig, "g", 1)) == 1
    assert sorted(each.function for each in await rig.driver.list()) == ["f", "g"]


async def test_never_one_with_a_call_in_flight(make: MakeRig) -> None:
    rig = await make(function("f"), function("g"), memory_mb=256)
    held = await granted(rig, queued=2)
    assert await use(rig, "g", 1) == []
    rig.hear("r1", Returned(held[0].instance, 1, 0.0))
    await settle()
    assert sorted(each.function for each in await rig.driver.list()) == ["f", "g"]


async def test_never_one_of_a_minimum(make: MakeRig) -> None:
    rig = await make(function("f", minimum=2), function("g"), memory_mb=256)
    await settle()
    assert await use(rig, "g", 1) == []
    assert len(await rig.driver.list()) == 2


async def test_warm_ones_go_first(make: MakeRig) -> None:
    rig = await make(function("f"), function("g"), warm=1, memory_mb=256)
    await use(rig, "f", 1)
    await warm_up(rig)
    large = msgspec.structs.replace(
        function("g").versions[0], spec=msgspec.structs.replace(function("g").versions[0].spec, cpu=2.0)
    )
    rig.table.put(msgspec.structs.replace(function("g"), versions=[large]))
    assert len(await use(rig, "g", 1)) == 1
    assert rig.stock.known() == set()
    assert sorted(each.function for each in await rig.driver.list()) == ["f", "g"]


async def test_a_warm_instance_needs_no_more_memory_than_it_has(make: MakeRig) -> None:
    rig = await make(warm=1, memory_mb=128)
    await warm_up(rig)
    assert len(await granted(rig)) == 1
    assert rig.driver.starts == 0


async def test_the_last_place_goes_to_the_function_that_has_fewest(make: MakeRig) -> None:
    rig = await make(function("f"), function("g"), memory_mb=256)
    held = await granted(rig, queued=2)
    rig.hear("r1", Demand("f-1", 1, 2, rig.seen("r1")))
    rig.hear("r1", Demand("g-1", 1, 0, rig.seen("r1")))
    rig.driver.end(held[0].instance)
    await settle()
    assert sorted(each.function for each in await rig.driver.list()) == ["f", "g"]


async def test_routers_are_asked_for_idle_slots_while_memory_is_short(make: MakeRig, clock: Clock) -> None:
    rig = await make(function("f"), function("g"), memory_mb=256)
    await granted(rig, queued=2)
    rig.sent["r1"].clear()
    for _ in range(3):
        rig.hear("r1", Demand("g-1", 1, 0, rig.seen("r1")))
    assert len(told(rig, MemoryPressure)) == 1
    clock.now += 0.25
    rig.tick()
    assert len(told(rig, MemoryPressure)) == 2
    rig.hear("r1", Demand("g-1", 0, 0, rig.seen("r1")))
    clock.now += 0.25
    rig.tick()
    assert len(told(rig, MemoryPressure)) == 2


# --- explain


def explained(rig: Rig, name: str = "f") -> list[tuple[int, int, int, int]]:
    """Started, resumed, paused and stopped, of what did something."""
    counts = [
        (each.start, len(each.resume), len(each.pause), len(each.stop))
        for each in rig.dispatcher.scaler.decisions.of(name)
    ]
    return [each for each in counts if any(each)]


async def test_what_was_done_is_kept_in_order(make: MakeRig, clock: Clock) -> None:
    rig = await make(pausing())
    await use(rig)
    clock.now += 11
    rig.tick()
    await settle()
    await use(rig)
    clock.now += 61
    rig.tick()
    await settle()
    assert explained(rig) == [(1, 0, 0, 0), (0, 0, 1, 0), (0, 1, 0, 0), (0, 0, 0, 1)]


async def test_only_what_was_started_is_told(make: MakeRig) -> None:
    rig = await make()
    rig.dispatcher.scaler.starts_are_held = True
    rig.hear("r1", Demand(V, 2, 0, 0))
    await settle()
    assert explained(rig) == []
    rig.dispatcher.scaler.starts_are_held = False
    rig.tick()
    await settle()
    assert explained(rig) == [(2, 0, 0, 0)]


async def test_who_made_room_is_told_for_whom(make: MakeRig) -> None:
    rig = await make(function("a"), function("b"), memory_mb=128)
    await use(rig, "a")
    await use(rig, "b")
    reasons = [each.reason for each in rig.dispatcher.scaler.decisions.of("a")]
    assert any('"b" needs it' in each for each in reasons)


async def test_a_start_that_failed_is_told_with_its_reason(make: MakeRig) -> None:
    rig = await make()
    rig.driver.start_error = PlatError("engine_unavailable", "No Docker.")
    rig.hear("r1", Demand(V, 1, 0, 0))
    await settle()
    reasons = [each.reason for each in rig.dispatcher.scaler.decisions.of("f")]
    assert "a start failed: No Docker." in reasons


async def test_a_deploy_tells_of_its_first_instance(make: MakeRig) -> None:
    rig = await make()
    (version,) = function("f").versions
    rig.dispatcher.scaler.begin_trial(msgspec.structs.replace(version, id="f-2", number=2))
    [event] = rig.dispatcher.scaler.decisions.of("f")
    assert (event.version, event.inputs) == (2, None)
    assert event.reason == "deployed: one instance is started, to see whether it works"


async def test_a_function_that_was_deleted_leaves_nothing_behind(make: MakeRig) -> None:
    rig = await make()
    await use(rig)
    rig.table.drop("f")
    rig.dispatcher.function_dropped("f")
    rig.tick()
    await settle()
    rig.tick()
    assert len(rig.dispatcher.scaler.decisions) == 0


async def test_a_window_s_minimum_is_kept(make: MakeRig) -> None:
    rig = await make(msgspec.structs.replace(function(), windows=[Window("* * * * *", 2)]))
    rig.tick()
    await settle()
    assert states(rig) == [State.READY, State.READY]


async def test_a_window_that_is_closed_costs_no_decision(make: MakeRig) -> None:
    never = Window("0 0 29 2 mon#5", 2)
    rig = await make(msgspec.structs.replace(function(), windows=[never]))
    before = rig.dispatcher.scaler.decisions.of("f")
    for _ in range(5):
        rig.tick()
    assert rig.dispatcher.scaler.decisions.of("f") == before


async def test_a_version_that_a_warm_instance_cannot_serve_is_started(make: MakeRig) -> None:
    """Its interpreter reads this variable at its start."""
    entry = function()
    spec = msgspec.structs.replace(entry.versions[0].spec, env={"PYTHONHASHSEED": "0"})
    rig = await make(
        msgspec.structs.replace(entry, versions=[msgspec.structs.replace(entry.versions[0], spec=spec)]),
        warm=2,
    )
    await warm_up(rig)
    assert len(await granted(rig)) == 1
    assert (rig.driver.placed, rig.driver.starts) == ([], 1)
