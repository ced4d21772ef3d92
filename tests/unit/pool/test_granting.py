"""Slots from where they lie to where they are waited for; between routers, too."""

import msgspec
import pytest

from plat.feed import Demand, FunctionEntry, Grant, Reclaim, Returned
from tests.unit.pool.rig import Rig, V, connect, function, granted, settle, told


async def test_a_slot_that_came_home_goes_to_whoever_waits(rig: Rig) -> None:
    connect(rig, "r2")
    grants = await granted(rig, queued=3)
    rig.hear("r2", Demand(V, 1, 0, 0))
    (asked,) = told(rig, Reclaim)
    assert asked.slots == 1
    rig.hear("r1", Returned(asked.instance, 1, 0.0))
    assert [each.instance for each in told(rig, Grant, "r2")] == [asked.instance]
    assert len(grants) == 3


async def test_an_unlimited_instance_is_shared(rig: Rig) -> None:
    entry = function(concurrency=0)
    rig.table.put(entry)
    rig.dispatcher.function_put(entry)
    connect(rig, "r2")
    first = (await granted(rig))[0].instance
    second = (await granted(rig, "r2"))[0].instance
    assert first == second
    assert rig.driver.starts == 1


async def test_two_routers_that_both_wait_share(rig: Rig) -> None:
    """The first has all three; asked for its share, it keeps more than nothing."""
    connect(rig, "r2")
    await granted(rig, queued=3)
    rig.hear("r1", Demand(V, 5, 3, rig.seen("r1")))
    rig.hear("r2", Demand(V, 5, 0, rig.seen("r2")))
    assert sum(asked.slots for asked in told(rig, Reclaim)) == 1


async def test_what_was_asked_back_is_not_asked_for_twice(rig: Rig) -> None:
    connect(rig, "r2")
    await granted(rig, queued=3)
    for _ in range(5):
        rig.hear("r2", Demand(V, 1, 0, rig.seen("r2")))
    assert len(told(rig, Reclaim)) == 1


# --- limits.max_in_flight


def limited(concurrency: int, most: int, *, number: int = 1) -> FunctionEntry:
    entry = function(concurrency=concurrency, maximum=10, number=number)
    return msgspec.structs.replace(entry, max_in_flight=most)


def put(rig: Rig, entry: FunctionEntry) -> None:
    rig.table.put(entry)
    rig.dispatcher.function_put(entry)


@pytest.mark.parametrize(("concurrency", "instances"), [(1, 3), (2, 2), (8, 1), (0, 1)])
async def test_no_more_slots_are_out_than_calls_may_be_in_flight(
    rig: Rig, concurrency: int, instances: int
) -> None:
    put(rig, limited(concurrency, 3))
    connect(rig, "r2")
    for router in ("r1", "r2"):
        rig.hear(router, Demand(V, 20, 0, rig.seen(router)))
    await settle()
    assert sum(grant.slots for router in ("r1", "r2") for grant in told(rig, Grant, router)) == 3
    assert rig.driver.starts == instances


async def test_versions_share_what_may_be_in_flight(rig: Rig) -> None:
    put(rig, limited(2, 3, number=2))
    for version in ("f-1", "f-2"):
        rig.hear("r1", Demand(version, 5, 0, rig.seen("r1")))
        await settle()
    assert sum(grant.slots for grant in told(rig, Grant)) == 3


async def test_a_slot_that_came_home_makes_room(rig: Rig) -> None:
    put(rig, limited(8, 2))
    connect(rig, "r2")
    rig.hear("r1", Demand(V, 2, 0, rig.seen("r1")))
    await settle()
    (grant,) = told(rig, Grant)
    rig.hear("r2", Demand(V, 1, 0, rig.seen("r2")))
    assert told(rig, Grant, "r2") == []
    assert [asked.slots for asked in told(rig, Reclaim)] == [1]
    rig.hear("r1", Returned(grant.instance, 1, 0.0))
    assert [each.slots for each in told(rig, Grant, "r2")] == [1]


async def test_an_unlimited_instance_is_asked_back_for_too(rig: Rig) -> None:
    """The first took all in a peak; as long as a call is in flight there, it gives none of them back."""
    put(rig, limited(0, 3))
    connect(rig, "r2")
    rig.hear("r1", Demand(V, 3, 0, 0))
    await settle()
    (grant,) = told(rig, Grant)
    for _ in range(3):
        rig.hear("r2", Demand(V, 1, 0, 0))
    assert told(rig, Reclaim) == [Reclaim(grant.instance, 1)]
    rig.hear("r1", Returned(grant.instance, 1, 0.0))
    assert [each.slots for each in told(rig, Grant, "r2")] == [1]


async def test_every_router_that_does_not_wait_is_asked(rig: Rig) -> None:
    """One of them may have nothing but long calls, and another what lies idle."""
    put(rig, limited(0, 2))
    connect(rig, "r2")
    connect(rig, "r3")
    for router in ("r1", "r2"):
        rig.hear(router, Demand(V, 1, 0, 0))
        await settle()
    rig.hear("r3", Demand(V, 1, 0, 0))
    assert [each.slots for router in ("r1", "r2") for each in told(rig, Reclaim, router)] == [1, 1]
    rig.hear("r2", Returned(told(rig, Reclaim, "r2")[0].instance, 1, 0.0))
    assert [each.slots for each in told(rig, Grant, "r3")] == [1]


@pytest.mark.parametrize("concurrency", [0, 1, 8])
async def test_slots_of_one_version_make_room_for_another(rig: Rig, concurrency: int) -> None:
    """Of the same router, too: it says nothing of what lies idle."""
    put(rig, limited(concurrency, 2, number=2))
    rig.hear("r1", Demand("f-1", 2, 0, 0))
    await settle()
    rig.hear("r1", Demand("f-2", 1, 0, rig.seen("r1")))
    await settle()
    (asked,) = told(rig, Reclaim)
    assert asked.slots == 1
    rig.hear("r1", Returned(asked.instance, 1, 0.0))
    rig.tick()
    assert [each.slots for each in told(rig, Grant) if each.version == "f-2"] == [1]


async def test_a_version_with_a_queue_does_not_keep_another_out(rig: Rig) -> None:
    put(rig, limited(0, 4, number=2))
    rig.hear("r1", Demand("f-1", 4, 0, 0))
    await settle()
    rig.hear("r1", Demand("f-1", 9, 4, rig.seen("r1")))
    rig.hear("r1", Demand("f-2", 9, 0, rig.seen("r1")))
    await settle()
    asked = told(rig, Reclaim)
    assert sum(each.slots for each in asked) == 2, "half is its share"
    for each in asked:
        rig.hear("r1", Returned(each.instance, each.slots, 0.0))
    assert sum(each.slots for each in told(rig, Grant) if each.version == "f-2") == 2


async def test_a_limit_beyond_what_instances_take_changes_no_share(rig: Rig) -> None:
    put(rig, limited(1, 1000))
    connect(rig, "r2")
    rig.hear("r1", Demand(V, 10, 0, 0))
    await settle()
    held = len(told(rig, Grant))
    rig.hear("r1", Demand(V, 9, held, rig.seen("r1")))
    rig.hear("r2", Demand(V, 9, 0, 0))
    assert sum(each.slots for each in told(rig, Reclaim)) == held // 2
