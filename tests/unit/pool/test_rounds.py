"""What a tick looks at, and in which turns. A driver in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from plat.feed import Demand, Grant, Returned
from plat.model import Window
from pool import dispatch, rounds
from pool.lifecycle import State
from pool.scaler import LONGEST_QUIET_S, Scaler
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import Clock, Rig, connect, function, granted, settle, states, told

NAMES = ("f", "g", "h")


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The functions that something is decided about, from the test's `clear` on."""
    names: list[str] = []
    decide = Scaler.scale

    def noted(scaler: Scaler, version, entry):  # type: ignore[no-untyped-def]
        names.append(version.function)
        return decide(scaler, version, entry)

    monkeypatch.setattr(Scaler, "scale", noted)
    return names


@pytest.fixture
def make(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Rig]]:
    async def make(**changes: object) -> Rig:
        """Each function has an instance that a call was in."""
        rig = Rig(tmp_path, MemoryDriver())
        await rig.open(monkeypatch)
        rig.load(*(msgspec.structs.replace(function(name), **changes) for name in NAMES))
        connect(rig, "r1")
        for name in NAMES:
            rig.hear("r1", Demand(f"{name}-1", 1, 0, rig.seen("r1")))
            await settle()
        for grant in told(rig, Grant):
            rig.hear("r1", Returned(grant.instance, 1, 0.0))
        await asyncio.sleep(2 * dispatch.WEIGHED_S)
        rig.tick()
        return rig

    return make


MakeRig = Callable[..., Awaitable[Rig]]


async def test_one_version_in_a_turn_where_a_turn_is_over_at_once(
    make: MakeRig, looked_at: list[str], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = await make()
    monkeypatch.setattr(rounds, "TURN_S", 0)
    clock.now += LONGEST_QUIET_S
    looked_at.clear()
    seen = [len(looked_at) for _ in rig.dispatcher.tick()]
    assert seen == [1, 2, 3]
    assert sorted(looked_at) == sorted(NAMES)


async def test_what_is_quiet_is_not_looked_at_before_something_is_due(
    make: MakeRig, looked_at: list[str], clock: Clock
) -> None:
    rig = await make(pause_after_s=3.0)
    looked_at.clear()
    for _ in range(4):
        rig.tick()
        clock.now += 0.6
    assert looked_at == []
    clock.now += 0.6
    rig.tick()
    await settle()
    assert set(looked_at) == set(NAMES)
    assert states(rig) == [State.PAUSED] * 3


async def test_nothing_is_quiet_for_long(make: MakeRig, looked_at: list[str], clock: Clock) -> None:
    """What is learned, and what nobody tells, has its effect then."""
    rig = await make()
    looked_at.clear()
    clock.now += LONGEST_QUIET_S
    rig.tick()
    assert sorted(looked_at) == sorted(NAMES)


async def test_where_something_happens_it_is_looked_at_again(
    make: MakeRig, looked_at: list[str], clock: Clock
) -> None:
    rig = await make()
    (grant,) = await granted(rig)
    looked_at.clear()
    rig.tick()
    assert looked_at == []
    rig.hear("r1", Returned(grant.instance, 1, 0.0))
    rig.tick()
    assert looked_at == ["f"]


@pytest.mark.parametrize(
    "kept", [{"min": 1}, {"windows": (Window("0 8 * * *", 0),)}], ids=["a minimum", "a schedule"]
)
async def test_a_minimum_is_looked_after_by_every_tick(
    make: MakeRig, looked_at: list[str], kept: dict[str, object]
) -> None:
    """A schedule's changes with the time of day."""
    rig = await make(**kept)
    looked_at.clear()
    rig.tick()
    assert sorted(looked_at) == sorted(NAMES)


async def test_nothing_is_kept_of_what_is_gone(make: MakeRig, clock: Clock) -> None:
    rig = await make()
    assert len(rig.dispatcher.scaler._quiet) == 3
    rig.driver.end(next(iter(rig.driver.running)))
    await settle()
    rig.tick()
    assert len(rig.dispatcher.scaler._quiet) == 2
