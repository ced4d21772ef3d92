"""Instances through their states in the simulator."""

from math import inf
from typing import Any

from pool.simulation.agenda import Agenda
from pool.simulation.fleet import SimulatedFleet
from pool.simulation.functions import SimulatedFunction, SimulatedInstance
from pool.simulation.machine import SimulatedMachine
from pool.simulation.policy import Policy
from pool.simulation.tally import Tally
from pool.simulation.trace import Profile


class Stage:
    """A fleet with one function, and what it told."""

    def __init__(self, **policy: Any) -> None:
        given = Policy(**policy)
        self.function = SimulatedFunction(Profile("f", memory_mb=100, cold_s=1.0), given)
        self.agenda, self.tally = Agenda(), Tally()
        self.machine = SimulatedMachine([self.function], given)
        self.rested: list[float] = []
        self.emptied: list[float] = []
        self.fleet = SimulatedFleet(
            self.agenda,
            self.machine,
            self.tally,
            given,
            lambda _: self.rested.append(self.agenda.now),
            lambda _: self.emptied.append(self.agenda.now),
        )

    def run(self) -> None:
        while self.agenda.next_at < inf:
            self.agenda.advance()

    def instance(self) -> SimulatedInstance:
        (instance,) = self.fleet.instances.values()
        return instance


def started(**policy: Any) -> Stage:
    stage = Stage(**policy)
    assert stage.fleet.start(stage.function)
    stage.run()
    return stage


def test_an_instance_comes_serves_and_rests() -> None:
    stage = Stage()
    stage.fleet.enqueue(stage.function, 2.0)
    assert stage.fleet.start(stage.function)
    assert (stage.function.on_the_way, stage.machine.used_mb) == (1, 100)
    stage.run()
    assert stage.tally.served["cold"] == 1
    assert list(stage.tally.waits) == [1.0]
    assert (stage.rested, stage.fleet.in_flight, stage.fleet.queued) == ([3.0], 0, 0)
    assert (stage.instance().since, stage.function.last_used) == (3.0, 3.0)


def test_waiting_calls_take_all_its_slots() -> None:
    stage = Stage(concurrency=2)
    for _ in range(3):
        stage.fleet.enqueue(stage.function, 1.0)
    stage.fleet.start(stage.function)
    stage.run()
    assert (stage.tally.served["cold"], stage.tally.served["queued"]) == (2, 1)


def test_paused_and_resumed_it_is_the_same_one() -> None:
    stage = started(resume_s=0.5)
    before = stage.instance()
    stage.fleet.pause(before)
    assert (stage.function.ready, len(stage.function.paused), len(stage.function.free)) == (0, 1, 0)
    stage.fleet.enqueue(stage.function, 1.0)
    stage.fleet.resume(before)
    stage.run()
    assert stage.tally.served["paused"] == 1
    assert stage.instance() is before
    assert (stage.function.ready, len(stage.function.paused)) == (1, 0)


def test_stopped_it_leaves_nothing() -> None:
    for pause_first in (False, True):
        stage = started()
        if pause_first:
            stage.fleet.pause(stage.instance())
        stage.fleet.stop(stage.instance())
        assert stage.fleet.instances == {}
        assert (stage.function.alive, stage.machine.used_mb, stage.machine.candidates) == (0, 0, {})
        assert stage.emptied == [1.0]
        assert stage.tally.instance_seconds == 1.0


def test_without_memory_none_starts() -> None:
    stage = Stage(memory_mb=150)
    stage.fleet.enqueue(stage.function, 10.0)
    assert stage.fleet.start(stage.function)
    assert not stage.fleet.start(stage.function)
    assert stage.fleet.starting == 1


def test_an_idle_one_goes_for_another() -> None:
    stage = started(memory_mb=150)
    assert stage.fleet.start(stage.function)
    assert stage.tally.evictions == 1


def test_a_sample_has_every_instance_once() -> None:
    stage = started()
    stage.fleet.start(stage.function)
    stage.fleet.pause(next(iter(stage.function.idle)))
    stage.fleet.sample(1.5)
    (moment,) = stage.tally.timeline
    assert (moment.starting, moment.paused, moment.idle, moment.busy, moment.memory_mb) == (1, 1, 0, 0, 200)
