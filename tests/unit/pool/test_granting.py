"""Slots from where they lie to where they are waited for; between routers, too."""

from plat.feed import Demand, Grant, Reclaim, Returned
from tests.unit.pool.rig import Rig, V, connect, function, granted, told


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
