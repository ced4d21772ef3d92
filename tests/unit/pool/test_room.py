"""Who goes when memory is short, and for whom. A driver in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from plat.feed import Demand, FunctionEntry, Grant, Reclaim, Returned
from pool.eviction import Candidate
from pool.room import Room
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import Clock, Rig, connect, function, granted, settle, told

MakeRig = Callable[..., Awaitable[Rig]]


@pytest.fixture
async def make(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakeRig]:
    async def make(*functions: FunctionEntry, memory_mb: int) -> Rig:
        rig = Rig(tmp_path, MemoryDriver(), memory_mb=memory_mb)
        await rig.open(monkeypatch)
        rig.load(*functions)
        connect(rig, "r1")
        return rig

    yield make
    await settle()


def of_size(name: str, memory_mb: int) -> FunctionEntry:
    entry = function(name)
    spec = msgspec.structs.replace(entry.versions[0].spec, memory_mb=memory_mb)
    return msgspec.structs.replace(entry, versions=(msgspec.structs.replace(entry.versions[0], spec=spec),))


async def crowd(rig: Rig, instances: int) -> None:
    """All calls that so many instances of f take, and five that wait."""
    await granted(rig, queued=instances)
    rig.hear("r1", Demand("f-1", 5, instances, rig.seen("r1")))


def running(rig: Rig) -> list[str]:
    return sorted(each.function for each in rig.driver.running.values())


def give_back(rig: Rig, *instances: str) -> None:
    for instance in instances:
        rig.hear("r1", Returned(instance, 1, 0.0))


async def test_who_has_none_gets_a_place_of_who_has_several_and_calls_that_wait(make: MakeRig) -> None:
    """Its queue never ends, so none of its instances is ever idle."""
    rig = await make(function("f"), function("g"), memory_mb=256)
    held = [grant.instance for grant in await granted(rig, queued=2)]
    rig.hear("r1", Demand("f-1", 5, 2, rig.seen("r1")))
    rig.hear("r1", Demand("g-1", 1, 0, rig.seen("r1")))
    await settle()
    [asked] = told(rig, Reclaim)
    assert running(rig) == ["f", "f"], "its call ends first"
    rig.tick()
    assert [each.instance for each in told(rig, Reclaim)] == [asked.instance], "one place is enough"
    give_back(rig, asked.instance)
    await settle()
    assert running(rig) == ["f", "g"]
    assert asked.instance in held
    assert any('"g" needs it' in each.reason for each in rig.dispatcher.scaler.decisions.of("f"))


async def test_who_has_one_keeps_it(make: MakeRig) -> None:
    rig = await make(function("f"), function("g"), function("h"), memory_mb=256)
    await granted(rig)
    rig.hear("r1", Demand("g-1", 1, 0, rig.seen("r1")))
    await settle()
    for name in ("f", "g"):
        rig.hear("r1", Demand(f"{name}-1", 5, 1, rig.seen("r1")))
    rig.hear("r1", Demand("h-1", 1, 0, rig.seen("r1")))
    await settle()
    assert told(rig, Reclaim) == []
    assert running(rig) == ["f", "g"]


async def test_one_place_is_all_that_is_kept_for_it(make: MakeRig) -> None:
    """From its first instance on it waits for memory as others do."""
    rig = await make(function("f"), function("g"), memory_mb=3 * 128)
    await crowd(rig, 3)
    rig.hear("r1", Demand("g-1", 5, 0, rig.seen("r1")))
    await settle()
    [asked] = told(rig, Reclaim)
    give_back(rig, asked.instance)
    await settle()
    assert running(rig) == ["f", "f", "g"]
    assert rig.dispatcher.scaler.room._promised == {}
    assert len(told(rig, Reclaim)) == 1


async def test_nobody_busy_goes_while_one_is_idle(make: MakeRig) -> None:
    rig = await make(function("f", maximum=2), function("c"), function("g"), memory_mb=3 * 128)
    rig.hear("r1", Demand("c-1", 1, 0, rig.seen("r1")))
    await settle()
    give_back(rig, told(rig, Grant)[0].instance)
    await crowd(rig, 2)
    rig.hear("r1", Demand("g-1", 2, 0, rig.seen("r1")))
    await settle()
    assert running(rig) == ["f", "f", "g"]
    assert told(rig, Reclaim) == []


async def test_one_router_s_call_that_has_gone_takes_no_place_from_another_s(make: MakeRig) -> None:
    rig = await make(function("f"), function("g"), memory_mb=256)
    connect(rig, "r2")
    await crowd(rig, 2)
    for router in ("r1", "r2"):
        rig.hear(router, Demand("g-1", 1, 0, rig.seen(router)))
    await settle()
    [asked] = told(rig, Reclaim)
    rig.hear("r1", Demand("g-1", 0, 0, rig.seen("r1")))
    give_back(rig, asked.instance)
    await settle()
    assert running(rig) == ["f", "g"]


async def test_each_version_keeps_one(make: MakeRig) -> None:
    """One of two versions of a function is not the other's to give up."""
    two = function("f", number=2, maximum=1)
    rig = await make(two, function("g"), memory_mb=256)
    for version in ("f-1", "f-2"):
        rig.hear("r1", Demand(version, 1, 0, rig.seen("r1")))
        await settle()
        rig.hear("r1", Demand(version, 5, 1, rig.seen("r1")))
    rig.hear("r1", Demand("g-1", 1, 0, rig.seen("r1")))
    await settle()
    assert told(rig, Reclaim) == []


async def test_nobody_gives_up_a_place_for_one_that_would_not_fit_even_then(make: MakeRig) -> None:
    rig = await make(function("f"), of_size("g", 512), memory_mb=256)
    await crowd(rig, 2)
    rig.hear("r1", Demand("g-1", 1, 0, rig.seen("r1")))
    await settle()
    assert told(rig, Reclaim) == []


async def test_a_large_one_gets_the_places_of_several(make: MakeRig) -> None:
    rig = await make(function("f"), of_size("g", 256), memory_mb=3 * 128)
    await crowd(rig, 3)
    rig.hear("r1", Demand("g-1", 1, 0, rig.seen("r1")))
    await settle()
    asked = [each.instance for each in told(rig, Reclaim)]
    assert len(asked) == 2
    give_back(rig, *asked)
    await settle()
    assert running(rig) == ["f", "g"]


async def test_a_place_is_nobody_s_any_more_when_the_call_that_waited_has_gone(make: MakeRig) -> None:
    rig = await make(function("f"), function("g"), memory_mb=256)
    await crowd(rig, 2)
    rig.hear("r1", Demand("g-1", 1, 0, rig.seen("r1")))
    await settle()
    [asked] = told(rig, Reclaim)
    rig.hear("r1", Demand("g-1", 0, 0, rig.seen("r1")))
    give_back(rig, asked.instance)
    await settle()
    assert running(rig) == ["f", "f"]


async def test_a_function_that_is_deleted_while_it_waits_for_memory_keeps_none(make: MakeRig) -> None:
    rig = await make(function("f"), function("g"), memory_mb=256)
    await granted(rig, queued=2)
    rig.hear("r1", Demand("g-1", 1, 0, rig.seen("r1")))
    await settle()
    assert rig.dispatcher.scaler.calls_are_short
    rig.table.drop("g")
    rig.dispatcher.function_dropped("g")
    for _ in range(2):  # the first tells those who wait
        rig.tick()
    assert not rig.dispatcher.scaler.calls_are_short
    assert rig.dispatcher.scaler.room._promised == {}


async def test_a_minimum_is_kept(make: MakeRig) -> None:
    rig = await make(function("f", minimum=2), function("g"), memory_mb=256)
    await settle()
    await crowd(rig, 2)
    rig.hear("r1", Demand("g-1", 1, 0, rig.seen("r1")))
    await settle()
    assert told(rig, Reclaim) == []


async def test_who_has_one_already_waits_for_memory_as_others_do(make: MakeRig) -> None:
    rig = await make(function("f"), function("g"), memory_mb=3 * 128)
    rig.hear("r1", Demand("g-1", 1, 0, rig.seen("r1")))
    await settle()
    await crowd(rig, 2)
    rig.hear("r1", Demand("g-1", 5, 1, rig.seen("r1")))
    await settle()
    assert told(rig, Reclaim) == []
    assert running(rig) == ["f", "f", "g"]


async def test_a_deploy_makes_room_for_its_first_instance(make: MakeRig) -> None:
    rig = await make(function("f"), function("g"), memory_mb=128)
    give_back(rig, *(grant.instance for grant in await granted(rig)))
    (version,) = function("g").versions
    rig.dispatcher.scaler.begin_trial(version)
    assert await rig.fleet.start(version) is None
    await settle()
    assert running(rig) == ["g"]


async def test_a_deploy_is_possible_where_nobody_can_go(make: MakeRig) -> None:
    rig = await make(function("f"), function("g"), memory_mb=128)
    await granted(rig)
    (version,) = function("g").versions
    rig.dispatcher.scaler.begin_trial(version)
    assert await rig.fleet.start(version) is None
    assert running(rig) == ["f", "g"]


async def test_many_versions_are_weighed_by_one_look(make: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"f{number}" for number in range(8)]
    rig = await make(*map(function, names), memory_mb=8 * 128)
    for name in names:
        rig.hear("r1", Demand(f"{name}-1", 1, 0, rig.seen("r1")))
        await settle()
        rig.tick()
        await settle()
    assert len(running(rig)) == 8
    looks: list[Room] = []
    look = Room._candidates

    def counted(room: Room) -> list[Candidate]:
        looks.append(room)
        return look(room)

    monkeypatch.setattr(Room, "_candidates", counted)
    rig.dispatcher.sweep()
    assert len(looks) == 1
