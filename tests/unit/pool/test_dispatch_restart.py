"""A pool that was killed and is back: it adopts what runs, and counts what the routers say they hold."""

from pathlib import Path

import msgspec
import pytest

from plat.feed import Demand, Faulted, Gone, Grant, Held, StartFailed
from pool.lifecycle import State
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import Clock, Rig, V, connect, eventually, function, granted, settle, states, told


async def test_nothing_is_said_or_done_before_the_table_is_there(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, MemoryDriver())
    await rig.open(monkeypatch)
    connect(rig, "r1", Held("a", 1))
    rig.hear("r1", Demand(V, 1, 0, 0))
    rig.tick()
    await settle()
    assert rig.sent["r1"] == []
    rig.load(function())
    await settle()
    assert len(told(rig, Grant)) == 1


async def test_running_instances_are_adopted_with_what_the_routers_hold(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (grant,) = await granted(rig)
    after = Rig(tmp_path, rig.driver)
    await after.open(monkeypatch)
    connect(after, "r1", Held(grant.instance, 1), Held("ghost", 1))
    after.load(function())
    await after.list_machine()
    after.tick()
    account = after.ledger.account(grant.instance)
    assert account is not None
    assert account.held == {"r1": 1}
    assert [each.instance for each in told(after, Gone)] == ["ghost"]
    assert after.driver.starts == 1


async def test_an_adopted_instance_that_nobody_holds_is_used(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (grant,) = await granted(rig)
    after = Rig(tmp_path, rig.driver)
    await after.open(monkeypatch)
    after.load(function(maximum=1))
    await after.list_machine()
    connect(after, "r1")
    after.tick()
    await settle()
    after.hear("r1", Demand(V, 1, 0, 0))
    assert [each.instance for each in told(after, Grant)] == [grant.instance]


async def test_one_that_never_listens_is_given_up_and_another_started(
    rig: Rig, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then it is on its way: its process may have been started just before the pool was killed."""
    (grant,) = await granted(rig)
    running = rig.driver.running[grant.instance]
    rig.driver.running[grant.instance] = msgspec.structs.replace(running, address="unix:/nowhere")
    after = Rig(tmp_path, rig.driver)
    await after.open(monkeypatch)
    after.load(function())
    connect(after, "r1")
    await after.list_machine()
    after.hear("r1", Demand(V, 1, 0, 0))
    await settle()
    assert (states(after), after.driver.starts) == ([State.STARTING], 1)
    clock.now += 31
    await eventually(lambda: told(after, Grant))
    assert [instance for instance, _ in after.driver.stopped] == [grant.instance]
    assert (states(after), after.driver.starts, told(after, StartFailed)) == ([State.READY], 2, [])


async def test_one_that_listens_late_is_adopted(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose process had just begun when the pool was killed."""
    (grant,) = await granted(rig)
    running = rig.driver.running.pop(grant.instance)
    after = Rig(tmp_path, rig.driver)
    await after.open(monkeypatch)
    after.load(function())
    connect(after, "r1")
    after.fleet.adopt(running, function().versions[0])
    after.hear("r1", Demand(V, 1, 0, 0))
    await settle()
    assert told(after, StartFailed) == []
    rig.driver.running[grant.instance] = running
    after.tick()
    await eventually(lambda: after.ledger.account(grant.instance))


async def test_one_that_was_placed_and_never_told_its_function_is_replaced(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (grant,) = await granted(rig)
    rig.driver.never_told.add(grant.instance)
    after = Rig(tmp_path, rig.driver)
    await after.open(monkeypatch)
    after.load(function(maximum=1))
    connect(after, "r1")
    await after.list_machine()
    after.hear("r1", Demand(V, 1, 0, 0))
    await eventually(lambda: told(after, Grant))
    assert told(after, StartFailed) == []
    assert grant.instance not in {each.instance for each in told(after, Grant)} | after.driver.running.keys()


async def test_one_that_was_busy_with_its_start_and_failed_is_replaced(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It did not answer when it was adopted; it says later that it never had a function."""
    (grant,) = await granted(rig)
    after = Rig(tmp_path, rig.driver)
    await after.open(monkeypatch)
    after.load(function(maximum=1))
    monkeypatch.setattr("pool.adoption.probe", _too_busy)
    await after.list_machine()
    connect(after, "r1")
    after.hear("r1", Demand(V, 1, 0, 0))
    await settle()
    assert (states(after), told(after, Grant)) == ([State.READY], [])
    rig.driver.never_told.add(grant.instance)
    after.tick()
    await eventually(lambda: told(after, Grant))
    assert grant.instance not in after.driver.running


async def test_one_that_the_killed_pool_had_paused_too_late_to_be_seen_is_woken_up(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its request was with the engine when it was killed, and is done after the new pool has listed."""
    (grant,) = await granted(rig)
    after = Rig(tmp_path, rig.driver)
    await after.open(monkeypatch)
    after.load(function(maximum=1))
    monkeypatch.setattr("pool.adoption.probe", _too_busy)
    await after.list_machine()
    rig.driver.paused.add(grant.instance)
    connect(after, "r1")
    after.hear("r1", Demand(V, 1, 0, 0))
    for _ in range(3):
        after.tick()
        await settle()
    assert [each.instance for each in told(after, Grant)] == [grant.instance]
    assert rig.driver.paused == set()


async def _too_busy(address: str, timeout_s: float) -> None:
    return None


async def test_a_fault_while_an_instance_is_being_adopted(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (grant,) = await granted(rig)
    after = Rig(tmp_path, rig.driver)
    await after.open(monkeypatch)
    after.load(function())
    connect(after, "r1")
    after.driver.probes_answered.clear()
    after.fleet.adopt(after.driver.running[grant.instance], function().versions[0])
    await settle()
    after.hear("r1", Faulted(grant.instance, "timeout"))
    await settle()
    after.driver.probes_answered.set()
    await settle()
    assert "task failed" not in caplog.text
    assert after.fleet.members() == []
    assert after.ledger.account(grant.instance) is None
