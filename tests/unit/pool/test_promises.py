"""Slots of an instance that still loads: given to who waits, and what becomes of them."""

from pathlib import Path

import msgspec
import pytest

from plat.errors import PlatError
from plat.feed import (
    Demand,
    Faulted,
    Gone,
    Grant,
    Held,
    Loaded,
    Reclaim,
    Returned,
    Saturated,
    SecretValues,
    StartFailed,
)
from pool.away import GRACE_S
from pool.health import UselessError
from pool.lifecycle import State
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import Clock, Rig, V, connect, eventually, function, granted, settle, states, told


@pytest.fixture
async def rig(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Two routers, two warm instances, and loading ends when the test says so."""
    rig = Rig(tmp_path, MemoryDriver(), routers=2, warm=2)
    await rig.open(monkeypatch)
    rig.load(function(concurrency=1, maximum=2, pause_after_s=1.0))
    connect(rig, "r1")
    connect(rig, "r2")
    await rig.list_machine()
    rig.refill(clock.now)
    await settle()
    rig.driver.hold_load = True
    return rig


async def demand(rig: Rig, router: str, queued: int) -> None:
    rig.hear(router, Demand(V, queued, 0, rig.seen(router)))
    await settle()


async def test_who_waits_has_them_while_it_loads(rig: Rig) -> None:
    (grant,) = await granted(rig)
    assert grant.loading
    assert grant.address == rig.driver.running[grant.instance].address
    assert (states(rig), told(rig, Loaded)) == ([State.LOADING], [])
    assert not [each for each in rig.sent["r2"] if isinstance(each, Grant)]
    rig.driver.make_ready(grant.instance)
    await settle()
    assert (states(rig), told(rig, Loaded)) == ([State.READY], [Loaded(grant.instance)])
    assert len(told(rig, Grant)) == 1


async def test_it_is_ready_when_a_router_says_so(rig: Rig) -> None:
    (grant,) = await granted(rig)
    rig.hear("r1", Loaded(grant.instance))
    await settle()
    assert (states(rig), told(rig, Loaded)) == ([State.READY], [Loaded(grant.instance)])
    rig.hear("r2", Loaded(grant.instance))
    rig.hear("r2", Loaded("another"))
    await settle()
    assert states(rig) == [State.READY]


async def test_one_that_its_first_call_ends_was_ready(rig: Rig) -> None:
    """It has told its router, and not us."""
    (grant,) = await granted(rig)
    rig.driver.end(grant.instance, "exited", "It went.")
    rig.hear("r1", Loaded(grant.instance))
    await eventually(lambda: told(rig, Gone))
    assert told(rig, Gone) == [Gone(grant.instance, "exited", "It went.")]
    assert not told(rig, StartFailed)


async def test_those_who_say_again_that_they_wait_have_nothing_started_for_them(rig: Rig) -> None:
    await granted(rig)
    await demand(rig, "r1", 0)
    assert (rig.fleet.starting(), states(rig)) == (0, [State.LOADING])


async def test_one_more_that_waits_has_one_more(rig: Rig) -> None:
    (first,) = await granted(rig)
    (second,) = await granted(rig, "r2")
    assert (first.loading, second.loading) == (True, True)
    assert first.instance != second.instance


async def test_one_promised_to_a_router_is_not_asked_back_for_another(rig: Rig) -> None:
    """It has no use for it before it is ready, and would ask for it again at once."""
    grants = [*await granted(rig), *await granted(rig, "r2")]
    await granted(rig, queued=2)
    assert not told(rig, Reclaim) and not told(rig, Reclaim, "r2")
    for grant in grants:
        rig.driver.make_ready(grant.instance)
    await settle()
    assert len(rig.fleet.members()) == 2


async def test_where_one_is_ready_the_next_is_given_when_it_is(rig: Rig) -> None:
    """A slot of the first may be free sooner."""
    (first,) = await granted(rig)
    rig.driver.make_ready(first.instance)
    await settle()
    assert await granted(rig) == []
    assert states(rig) == [State.LOADING, State.READY]
    (loading,) = rig.driver.unloaded()
    rig.driver.make_ready(loading)
    await settle()
    (grant,) = told(rig, Grant)
    assert (grant.instance, grant.loading) == (loading, False)


async def test_one_that_comes_home_is_neither_paused_nor_stopped_while_it_loads(
    rig: Rig, clock: Clock
) -> None:
    (grant,) = await granted(rig)
    rig.hear("r1", Returned(grant.instance, 1, 0.0))
    for later_s in (5, 100):
        clock.now += later_s
        rig.tick()
        await settle()
        assert states(rig) == [State.LOADING]
    assert not [each for each in rig.dispatcher.scaler.decisions.of("f") if each.stop or each.pause]
    rig.driver.make_ready(grant.instance)
    await settle()
    rig.tick()
    await settle()
    assert (states(rig), told(rig, Loaded)) == ([State.READY], [])


async def test_those_who_wait_for_one_that_cannot_be_loaded_are_told_why(rig: Rig) -> None:
    (grant,) = await granted(rig)
    rig.driver.fail_to_load(grant.instance, PlatError("handler_import_failed", "No module named x."))
    await eventually(lambda: told(rig, StartFailed))
    assert [each.instance for each in told(rig, Gone)] == [grant.instance]
    (failed,) = told(rig, StartFailed)
    assert "No module named x." in failed.detail
    assert (rig.fleet.members(), rig.ledger.account(grant.instance)) == ([], None)


async def test_why_one_ended_while_it_loaded_is_told_as_of_any_other(rig: Rig) -> None:
    (grant,) = await granted(rig)
    rig.driver.end(grant.instance, "out_of_memory", "It used too much.")
    await eventually(lambda: told(rig, Gone))
    assert told(rig, Gone) == [Gone(grant.instance, "out_of_memory", "It used too much.")]


async def test_one_with_secrets_is_granted_when_it_is_ready(rig: Rig) -> None:
    """They may be changed while it loads, and no call may come to one that has the former value."""
    entry = function()
    (version,) = entry.versions
    spec = msgspec.structs.replace(version.spec, secrets=("KEY",))
    version = msgspec.structs.replace(version, spec=spec, secrets=SecretValues({"KEY": "one"}))
    rig.load(msgspec.structs.replace(entry, versions=(version,)))
    assert await granted(rig) == []
    (loading,) = rig.driver.unloaded()
    rig.driver.make_ready(loading)
    await settle()
    (grant,) = told(rig, Grant)
    assert (grant.instance, grant.loading) == (loading, False)


async def test_one_that_loads_is_not_asked_whose_calls_are_in_it(rig: Rig, clock: Clock) -> None:
    (grant,) = await granted(rig)
    rig.sent.pop("r1")
    rig.dispatcher.router_away("r1")
    rig.driver.probes_answered.clear()
    clock.now += 10
    rig.tick()
    await settle()
    assert rig.driver.probes == 0
    rig.driver.make_ready(grant.instance)
    await settle()
    rig.driver.probes_answered.set()
    rig.tick()
    await settle()
    assert rig.driver.probes > 0
    account = rig.ledger.account(grant.instance)
    assert account is not None
    assert account.held == {}


async def test_another_takes_the_place_of_a_warm_one_that_is_of_no_use(rig: Rig) -> None:
    rig.driver.load_error = UselessError("it does not answer")
    grants = await granted(rig)
    given = grants[-1]
    assert not given.loading
    assert rig.driver.starts == 1
    assert [each.instance for each in told(rig, Gone)] == [each.instance for each in grants[:-1]]


async def test_a_router_that_went_is_told_nothing(rig: Rig) -> None:
    (grant,) = await granted(rig)
    rig.sent.pop("r1")
    rig.dispatcher.router_away("r1")
    rig.driver.fail_to_load(grant.instance, PlatError("handler_import_failed", "No module named x."))
    await settle()
    assert (rig.fleet.members(), rig.dispatcher.scaler.short) == ([], set())


async def test_a_router_that_is_back_has_none(rig: Rig) -> None:
    """It forgot them: the slot is home, and is given again."""
    (first,) = await granted(rig)
    rig.sent.pop("r1")
    rig.dispatcher.router_away("r1")
    connect(rig, "r1")
    account = rig.ledger.account(first.instance)
    assert account is not None
    assert account.held == {}
    (again,) = await granted(rig)
    assert (again.instance, again.loading) == (first.instance, True)


async def test_one_that_is_ready_by_its_own_word_is_held_by_who_is_back(rig: Rig) -> None:
    (grant,) = await granted(rig)
    rig.sent.pop("r1")
    rig.dispatcher.router_away("r1")
    connect(rig, "r1", Held(grant.instance, 1))
    rig.driver.make_ready(grant.instance)
    await settle()
    account = rig.ledger.account(grant.instance)
    assert account is not None
    assert account.held == {"r1": 1}


async def test_who_waits_for_one_of_a_function_that_is_stopped_is_told(rig: Rig) -> None:
    await granted(rig)
    stopped = function(stopped=True)
    rig.table.put(stopped)
    rig.dispatcher.function_put(stopped)
    assert {each.code for each in told(rig, StartFailed)} == {"function_stopped"}


async def test_one_that_crashed_at_its_first_call_before_we_knew_that_it_was_ready_ends(rig: Rig) -> None:
    (grant,) = await granted(rig)
    rig.hear("r1", Faulted(grant.instance, "unreachable"))
    rig.driver.make_ready(grant.instance)
    await eventually(lambda: not rig.fleet.members())
    assert told(rig, StartFailed) == []
    assert rig.ledger.account(grant.instance) is None


async def test_why_one_ended_at_its_first_call_is_told_and_not_that_it_could_not_be_used(rig: Rig) -> None:
    (grant,) = await granted(rig)
    rig.hear("r1", Faulted(grant.instance, "unreachable"))
    rig.hear("r1", Loaded(grant.instance, 0.002))
    rig.driver.end(grant.instance, "out_of_memory", "It used too much.")
    await eventually(lambda: told(rig, Gone))
    assert [each.reason for each in told(rig, Gone)] == ["out_of_memory"]


async def test_one_at_fault_that_says_nothing_more_ends(rig: Rig) -> None:
    (grant,) = await granted(rig)
    rig.hear("r1", Faulted(grant.instance, "unreachable"))
    await eventually(lambda: told(rig, Gone))
    assert [each.reason for each in told(rig, Gone)] == ["unreachable"]


async def test_a_router_that_is_back_holds_slots_only_of_what_has_told_it_that_it_is_ready(rig: Rig) -> None:
    """The link broke before it could say so."""
    (grant,) = await granted(rig)
    rig.dispatcher.router_away("r1")
    connect(rig, "r1", Held(grant.instance, 1))
    await settle()
    assert states(rig) == [State.READY]


async def test_nobody_who_waits_is_told_that_there_will_be_no_more_while_one_loads(rig: Rig) -> None:
    rig.driver.hold_load = True
    await granted(rig, queued=20)
    need = rig.dispatcher.scaler._need(rig.table.versions[V], rig.table.function("f"))
    assert (need.promised, need.on_the_way, need.ready) == (2, 2, 0)
    rig.tick()
    assert (told(rig, Saturated), rig.driver.starts) == ([], 0)
    for instance in rig.driver.unloaded():
        rig.driver.make_ready(instance)
    await settle()
    rig.tick()
    assert told(rig, Saturated) != []


# --- of one that is being resumed


async def paused(rig: Rig, clock: Clock) -> str:
    """One that is, and an engine that takes its time from now on."""
    (grant,) = await granted(rig)
    rig.driver.make_ready(grant.instance)
    await settle()
    await give_back_and_pause(rig, clock, "r1", grant.instance)
    assert states(rig) == [State.PAUSED]
    return grant.instance


async def give_back_and_pause(rig: Rig, clock: Clock, router: str, instance: str) -> None:
    rig.hear(router, Returned(instance, 1, 0.0))
    clock.now += 2
    rig.tick()
    await settle()
    rig.driver.hold_resume = True
    rig.sent[router].clear()


async def test_who_waits_has_those_of_one_that_is_being_resumed(rig: Rig, clock: Clock) -> None:
    instance = await paused(rig, clock)
    await demand(rig, "r1", 1)
    (grant,) = told(rig, Grant)
    assert (grant.instance, grant.loading, states(rig)) == (instance, True, [State.PAUSED])
    need = rig.dispatcher.scaler._need(rig.table.versions[V], rig.table.function("f"))
    assert (need.on_the_way, need.promised, need.ready, need.idle, need.paused) == (1, 1, 0, (), ())
    rig.hear("r1", Loaded(instance))
    rig.tick()
    await settle()
    assert states(rig) == [State.PAUSED], "until the engine says so"
    rig.driver.end_resume()
    await settle()
    assert (states(rig), told(rig, Loaded)) == ([State.READY], [Loaded(instance)])


async def test_where_one_is_ready_those_of_a_paused_one_come_when_it_is_too(rig: Rig, clock: Clock) -> None:
    """A slot of the first may be free sooner."""
    (first,), (second,) = await granted(rig), await granted(rig, "r2")
    for grant in (first, second):
        rig.driver.make_ready(grant.instance)
    await settle()
    await give_back_and_pause(rig, clock, "r2", second.instance)
    assert sorted(states(rig)) == [State.PAUSED, State.READY]
    await demand(rig, "r2", 1)
    assert told(rig, Grant, "r2") == []
    rig.driver.end_resume()
    await settle()
    assert [(each.instance, each.loading) for each in told(rig, Grant, "r2")] == [(second.instance, False)]


async def test_one_that_cannot_be_resumed_is_asked_back_and_another_comes(rig: Rig, clock: Clock) -> None:
    instance = await paused(rig, clock)
    await demand(rig, "r1", 1)
    rig.driver.end_resume(PlatError("engine_unavailable", "The engine is away."))
    await settle()
    assert [each.instance for each in told(rig, Reclaim)] == [instance]
    assert instance not in [each for each, _ in rig.driver.stopped], "a call may be in it all the same"
    rig.hear("r1", Returned(instance, 1, 0.0))
    await demand(rig, "r1", 1)
    assert instance in [each for each, _ in rig.driver.stopped]
    (other,) = [each.instance for each in told(rig, Grant) if each.instance != instance]
    assert other in rig.driver.running


async def test_what_a_router_that_went_was_promised_of_one_that_cannot_be_resumed_comes_home(
    rig: Rig, clock: Clock
) -> None:
    instance = await paused(rig, clock)
    await demand(rig, "r1", 1)
    rig.driver.end_resume(PlatError("engine_unavailable", "The engine is away."))
    await settle()
    rig.sent.pop("r1")
    rig.dispatcher.router_away("r1")
    clock.now += 2 * GRACE_S
    rig.tick()
    await settle()
    assert instance in [each for each, _ in rig.driver.stopped]


async def test_one_that_is_stopped_while_it_is_being_resumed_is_asked_back(rig: Rig, clock: Clock) -> None:
    instance = await paused(rig, clock)
    await demand(rig, "r1", 1)
    stopped = function(stopped=True)
    rig.table.put(stopped)
    rig.dispatcher.function_put(stopped)
    rig.hear("r1", Returned(instance, 1, 0.0))
    rig.driver.end_resume()
    await settle()
    assert (rig.fleet.members(), rig.ledger.account(instance)) == ([], None)


async def test_one_that_goes_before_the_engine_is_asked_is_promised_to_nobody(rig: Rig, clock: Clock) -> None:
    instance = await paused(rig, clock)
    rig.driver.hold_load = False
    rig.hear("r1", Demand(V, 1, 0, rig.seen("r1")))
    member = rig.fleet.get(instance)
    assert member is not None and member.resuming
    rig.driver.stop_error = PlatError("engine_unavailable", "It takes its time.")
    rig.dispatcher._drain(member)
    await settle()
    rig.dispatcher.balance(V)
    await settle()
    assert instance not in [each.instance for each in told(rig, Grant)]
    assert len(told(rig, Grant)) == 1
