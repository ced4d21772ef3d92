"""Demand, returns, faults, deaths and deploys, around real parts and a driver in memory."""

import asyncio

import pytest

from plat.errors import PlatError
from plat.feed import (
    Demand,
    Faulted,
    FunctionEntry,
    Gone,
    Grant,
    Held,
    Reclaim,
    Returned,
    RouteDropped,
    RoutePut,
    Routes,
    RoutesPart,
    StartFailed,
    TokensPart,
    VersionEntry,
)
from pool.away import GRACE_S
from pool.dispatch import DRAIN_MARGIN_S, WEIGHED_S
from pool.lifecycle import State
from pool.scaling import Decision
from tests.unit.pool.rig import Clock, Rig, V, connect, function, granted, settle, states, told


async def start_failed(rig: Rig) -> StartFailed:
    """The instance's last lines are read, on a thread, before it is told."""
    async with asyncio.timeout(20):
        while not told(rig, StartFailed):  # noqa: ASYNC110 - what was sent is looked at from outside
            await asyncio.sleep(0.001)
    await settle()
    (failed,) = told(rig, StartFailed)
    return failed


# --- up


async def test_a_router_is_told_everything_first(rig: Rig) -> None:
    assert [type(each) for each in rig.sent["r1"]] == [Routes, TokensPart, RoutesPart, RoutesPart]
    part, end = told(rig, RoutesPart)
    assert [each.name for each in part.routes] == ["f"]
    assert (part.last, end) == (False, RoutesPart([], last=True))


async def test_one_that_waits_gets_an_instance(rig: Rig) -> None:
    (grant,) = await granted(rig)
    assert (grant.version, grant.slots) == (V, 1)
    assert grant.address == rig.driver.running[grant.instance].address
    assert rig.driver.starts == 1


async def test_the_first_that_waits_is_announced_to_a_warm_instance_before_one_is_taken(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(rig.stock, "announce", lambda kind, now: seen.append(rig.driver.starts))
    await granted(rig)
    assert seen == [0]
    await granted(rig, queued=2)
    assert seen == [0], "another is started, but who waits has one"
    rig.hear("r1", Demand("nothing-1", 1, 0, rig.seen("r1")))
    assert seen == [0]


async def test_slots_on_their_way_are_sent_before_the_rest_is_decided_and_that_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = function(maximum=1)
    rig.table.put(entry)
    rig.dispatcher.function_put(entry)
    (grant,) = await granted(rig)
    connect(rig, "r2")
    await asyncio.sleep(2 * WEIGHED_S)
    scale, decided = rig.dispatcher.scaler.scale, list[str]()

    def noted(version: VersionEntry, of: FunctionEntry | None) -> Decision:
        decided.append(version.id)
        return scale(version, of)

    monkeypatch.setattr(rig.dispatcher.scaler, "scale", noted)
    for _ in range(3):
        rig.hear("r2", Demand(V, 1, 0, rig.seen("r2")))
    assert (told(rig, Reclaim), decided) == ([Reclaim(grant.instance, 1)], [])
    await settle()
    assert decided == [V]
    rig.hear("r1", Returned(grant.instance, 1, 0.0))
    assert (len(told(rig, Grant, "r2")), decided) == (1, [V])
    await settle()
    assert decided == [V, V]
    rig.hear("r2", Demand(V, 2, 0, rig.seen("r2")))
    assert decided == [V, V, V], "they lack slots: that is decided at once"


async def test_as_many_as_wait_up_to_the_maximum(rig: Rig) -> None:
    assert len(await granted(rig, queued=50)) == 3
    assert rig.driver.starts == 3


async def test_a_need_said_again_while_it_starts_starts_nothing_more(rig: Rig) -> None:
    rig.driver.hold_ready = True
    for _ in range(5):
        assert await granted(rig) == []
    assert rig.driver.starts == 1
    rig.driver.make_ready(next(iter(rig.driver.running)))
    await settle()
    assert len(told(rig, Grant)) == 1


async def test_a_minimum_is_kept_without_any_call(rig: Rig) -> None:
    entry = function(minimum=2)
    rig.table.put(entry)
    rig.dispatcher.function_put(entry)
    await settle()
    assert states(rig) == [State.READY] * 2
    rig.driver.end(next(iter(rig.driver.running)))
    await settle()
    assert states(rig) == [State.READY] * 2


# --- what does not start


async def test_a_start_that_fails_fails_those_who_wait(rig: Rig) -> None:
    rig.driver.start_error = PlatError("instance_start_failed", "no memory")
    assert await granted(rig) == []
    failed = await start_failed(rig)
    assert (failed.version, failed.code) == (V, "instance_unavailable")
    assert "no memory" in failed.detail
    assert rig.fleet.members() == []


async def test_it_is_not_tried_again_at_once_but_it_is_later(rig: Rig, clock: Clock) -> None:
    rig.driver.start_error = PlatError("engine_unavailable", "no answer")
    for _ in range(5):
        await granted(rig)
        assert [each.code for each in told(rig, StartFailed)] == ["engine_unavailable"]
    assert rig.driver.starts == 1
    rig.driver.start_error = None
    clock.now += 1.0
    assert len(await granted(rig)) == 1


async def test_an_instance_that_dies_while_it_starts(rig: Rig) -> None:
    rig.driver.hold_ready = True
    await granted(rig)
    rig.driver.end(next(iter(rig.driver.running)), "out_of_memory", "It used too much.")
    failed = await start_failed(rig)
    assert failed.reason == "out_of_memory"
    assert rig.fleet.members() == []


# --- down


async def test_an_idle_instance_is_stopped_in_time(rig: Rig, clock: Clock) -> None:
    (grant,) = await granted(rig)
    rig.hear("r1", Returned(grant.instance, 1, 0.0))
    clock.now += 59
    rig.tick()
    await settle()
    assert states(rig) == [State.READY]
    clock.now += 1
    rig.tick()
    await settle()
    assert rig.fleet.members() == []
    assert [each.instance for each in told(rig, Gone)] == [grant.instance]


async def test_an_instance_that_a_router_holds_is_not_idle(rig: Rig, clock: Clock) -> None:
    await granted(rig)
    clock.now += 10_000
    rig.tick()
    await settle()
    assert states(rig) == [State.READY]


async def test_a_new_version_takes_over_without_cutting_calls(rig: Rig) -> None:
    (grant,) = await granted(rig)
    entry = function(number=2)
    rig.table.put(entry)
    rig.dispatcher.function_put(entry)
    await settle()
    assert told(rig, Reclaim) == [Reclaim(grant.instance, 1)]
    assert states(rig) == [State.DRAINING]
    rig.hear("r1", Returned(grant.instance, 1, 0.0))
    await settle()
    assert rig.driver.stopped == [(grant.instance, 5.0)]


async def test_a_drain_goes_on_when_the_routers_link_broke(rig: Rig) -> None:
    """It does not know any more that it was asked."""
    (grant,) = await granted(rig)
    entry = function(number=2)
    rig.table.put(entry)
    rig.dispatcher.function_put(entry)
    rig.dispatcher.router_away("r1")
    connect(rig, "r1", Held(grant.instance, 1))
    assert told(rig, Reclaim) == [Reclaim(grant.instance, 1)]


async def test_a_drain_that_takes_too_long_is_ended(rig: Rig, clock: Clock) -> None:
    (grant,) = await granted(rig)
    entry = function(stopped=True)
    rig.table.put(entry)
    rig.dispatcher.function_put(entry)
    clock.now += 30 + DRAIN_MARGIN_S - 0.1
    rig.tick()
    await settle()
    assert states(rig) == [State.DRAINING]
    clock.now += 0.1
    rig.tick()
    await settle()
    assert [each.instance for each in told(rig, Gone)] == [grant.instance]


async def test_a_stopped_function_has_no_instance_and_tells_those_who_wait(rig: Rig) -> None:
    entry = function(stopped=True, minimum=1)
    rig.table.put(entry)
    rig.dispatcher.function_put(entry)
    assert await granted(rig) == []
    assert [each.code for each in told(rig, StartFailed)] == ["function_stopped"]
    assert rig.driver.starts == 0


async def test_a_deleted_function(rig: Rig) -> None:
    (grant,) = await granted(rig)
    rig.table.drop("f")
    rig.dispatcher.function_dropped("f")
    assert told(rig, RouteDropped) == [RouteDropped("f")]
    assert told(rig, Reclaim) == [Reclaim(grant.instance, 1)]
    assert await granted(rig) == []
    assert len(told(rig, StartFailed)) == 1
    rig.hear("r1", Returned(grant.instance, 1, 0.0))
    await settle()
    assert rig.fleet.members() == []


async def test_a_version_on_trial_is_not_taken_for_an_old_one(rig: Rig) -> None:
    trial = function(number=2).versions[1]
    rig.dispatcher.scaler.begin_trial(trial)
    assert await rig.fleet.start(trial) is None
    rig.dispatcher.function_put(function())
    rig.tick()
    await settle()
    assert [member.version.id for member in rig.fleet.members()] == ["f-2"]
    entry = function(number=2)
    rig.table.put(entry)
    rig.dispatcher.function_put(entry)
    rig.dispatcher.scaler.end_trial(trial)
    rig.tick()
    await settle()
    assert states(rig) == [State.READY]
    assert told(rig, RoutePut)[-1].route.live == 2


# --- what goes wrong


@pytest.mark.parametrize("reason", ["timeout", "unreachable"])
async def test_an_instance_at_fault_is_replaced(rig: Rig, reason: str) -> None:
    (grant,) = await granted(rig)
    rig.hear("r1", Faulted(grant.instance, reason))
    await settle()
    assert rig.driver.stopped == [(grant.instance, 0)]
    (again,) = await granted(rig)
    assert again.instance != grant.instance


async def test_nothing_more_is_granted_of_an_instance_at_fault(rig: Rig) -> None:
    entry = function(concurrency=4)
    rig.table.put(entry)
    rig.dispatcher.function_put(entry)
    (grant,) = await granted(rig)
    rig.driver.stop_error = PlatError("engine_unavailable", "no answer")
    rig.hear("r1", Faulted(grant.instance, "unreachable"))
    assert grant.instance not in [each.instance for each in await granted(rig)]


@pytest.mark.parametrize("reason", ["timeout", "unreachable"])
async def test_an_instance_at_fault_ends_the_other_calls_that_are_in_it(rig: Rig, reason: str) -> None:
    """They are not to be cut for it."""
    entry = function(concurrency=4)
    rig.table.put(entry)
    rig.dispatcher.function_put(entry)
    connect(rig, "r2")
    (grant,) = await granted(rig, queued=1)
    await granted(rig, "r2", queued=1)
    rig.hear("r1", Faulted(grant.instance, reason))
    assert told(rig, Reclaim, "r2") == [Reclaim(grant.instance, 1)]
    assert rig.driver.stopped == []
    assert State.DRAINING in states(rig)


async def test_an_instance_that_ends_is_announced_and_replaced(rig: Rig) -> None:
    (grant,) = await granted(rig)
    rig.hear("r1", Demand(V, 1, 1, rig.seen("r1")))
    await settle()
    rig.driver.end(grant.instance, "exited", "It exited with status 3.")
    await settle()
    assert Gone(grant.instance, "exited", "It exited with status 3.") in told(rig, Gone)
    assert grant.instance not in [member.id for member in rig.fleet.members()]


async def test_a_dead_routers_slots_wait_for_the_instance_to_be_idle(rig: Rig, clock: Clock) -> None:
    (grant,) = await granted(rig)
    rig.driver.in_flight[grant.instance] = 1
    rig.dispatcher.router_away("r1")
    del rig.sent["r1"]
    connect(rig, "r2")
    clock.now += GRACE_S
    rig.tick()
    await settle()
    account = rig.ledger.account(grant.instance)
    assert account is not None
    assert account.held == {"r1": 1}
    rig.driver.in_flight[grant.instance] = 0
    rig.tick()
    await settle()
    assert account.settled


async def test_an_instance_that_never_gets_idle_again_is_replaced(rig: Rig, clock: Clock) -> None:
    """A handler that goes on beyond its time limit: its slot is nobody's, and no call may join it."""
    (grant,) = await granted(rig)
    rig.driver.in_flight[grant.instance] = 1
    rig.dispatcher.router_away("r1")
    del rig.sent["r1"]
    connect(rig, "r2")
    clock.now += 30 + DRAIN_MARGIN_S + 0.1
    rig.tick()
    await settle()
    (other,) = await granted(rig, "r2")
    assert other.instance != grant.instance
    assert grant.instance in rig.driver.running
    clock.now += 30 + DRAIN_MARGIN_S + 0.1
    rig.tick()
    await settle()
    assert grant.instance not in rig.driver.running
