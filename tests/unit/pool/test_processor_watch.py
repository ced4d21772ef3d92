"""Who is asked what it uses, and when."""

from pathlib import Path

import pytest

from plat.errors import PlatError
from plat.feed import Demand
from plat.tasks import cancel, spawn
from pool.drivers import procfs
from pool.processor_watch import ASKED, ProcessorWatch
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import Clock, Rig, V, connect, function, settle, states


class Machine:
    """Two processors; all that is used is used by the instances of the driver, to the same part each."""

    def __init__(self, rig: Rig, clock: Clock) -> None:
        self._rig = rig
        self._clock = clock
        self._watch = ProcessorWatch(rig.driver, rig.dispatcher.scaler)
        self.busy_s = 100.0

    async def pass_by(self, *, busy: float, each: float, times: int = 3) -> None:
        """Tenths of a second, each with a look at its end."""
        for _ in range(times):
            self._clock.now += 0.1
            for instance in self._rig.driver.running:
                used = self._rig.driver.used_s
                used[instance] = used.get(instance, 0.0) + each * 0.1
            self.busy_s += busy * 0.1
            await self._watch.look()


@pytest.fixture
async def rig(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Five instances of one function are ready, and three more calls wait."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    rig = Rig(tmp_path, MemoryDriver())
    await rig.open(monkeypatch)
    rig.load(function(maximum=20))
    connect(rig, "r1")
    rig.hear("r1", Demand(V, 5, 0, 0))
    await settle()
    rig.tick()
    await settle()
    assert len(states(rig)) == 5
    return rig


@pytest.fixture
def machine(rig: Rig, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(rig, clock)
    monkeypatch.setattr(procfs, "busy_s", lambda: machine.busy_s)
    monkeypatch.setattr("pool.processor_watch.time", clock)
    return machine


async def want_more(rig: Rig) -> int:
    """Three calls more wait; how many instances there are then."""
    rig.hear("r1", Demand(V, 3, 5, rig.seen("r1")))
    await settle()
    return len(states(rig))


async def test_calls_that_wait_get_no_further_instance_to_take_turns_with(rig: Rig, machine: Machine) -> None:
    rig.driver.hold_ready = True
    await machine.pass_by(busy=2.0, each=0.4)
    rig.dispatcher._demands.asked(V, "r1", 3, rig.seen("r1"))
    await machine.pass_by(busy=2.0, each=0.4)
    assert await want_more(rig) == 5
    [*_, last] = rig.dispatcher.scaler.decisions.of("f")
    assert "all processors are busy, and the function has its share of them" in last.reason
    assert last.inputs is not None and last.inputs.processors_busy


async def test_they_get_them_as_soon_as_there_is_time_to_be_had(rig: Rig, machine: Machine) -> None:
    rig.dispatcher._demands.asked(V, "r1", 3, rig.seen("r1"))
    await machine.pass_by(busy=2.0, each=0.4)
    assert await want_more(rig) == 5
    await machine.pass_by(busy=1.0, each=0.2, times=1)
    rig.tick()
    await settle()
    assert len(states(rig)) == 8


async def test_who_waits_is_not_held_back(rig: Rig, machine: Machine) -> None:
    """The processors are busy with something else."""
    rig.dispatcher._demands.asked(V, "r1", 3, rig.seen("r1"))
    await machine.pass_by(busy=2.0, each=0.01)
    assert await want_more(rig) == 8


async def test_nobody_is_asked_while_processors_are_free_or_no_call_waits(
    rig: Rig, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def cpu_s(instance: str) -> float:
        asked.append(instance)
        raise PlatError("instance_unavailable", "It does not say.")

    monkeypatch.setattr(rig.driver, "cpu_s", cpu_s)
    await machine.pass_by(busy=2.0, each=0.4)
    assert asked == []
    rig.dispatcher._demands.asked(V, "r1", 3, rig.seen("r1"))
    await machine.pass_by(busy=1.0, each=0.2)
    assert asked == []
    await machine.pass_by(busy=2.0, each=0.2, times=1)
    assert len(asked) == min(5, ASKED)
    assert await want_more(rig) == 8, "who does not say what it uses is not held back"


async def test_a_look_that_fails_is_not_the_last(
    rig: Rig, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    async def look() -> None:
        looks.append(len(looks))
        if len(looks) == 1:
            raise OSError(24, "Too many open files")

    monkeypatch.setattr("pool.processor_watch.LOOK_S", 0)
    monkeypatch.setattr("pool.processor_watch.AGAIN_S", 0)
    watch = ProcessorWatch(rig.driver, rig.dispatcher.scaler)
    monkeypatch.setattr(watch, "look", look)
    running = spawn(watch.run(), "watch")
    await settle()
    await cancel(running)
    assert len(looks) > 1
