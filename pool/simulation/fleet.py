"""Calls in instances, and instances through their states, as the simulator has them: what `pool.fleet` does.

Decides nothing: told to start, pause, resume and stop.
"""

from collections.abc import Callable
from functools import partial
from itertools import count

from pool.drivers.base import Kind
from pool.simulation.agenda import Agenda
from pool.simulation.functions import SimulatedFunction, SimulatedInstance
from pool.simulation.machine import SimulatedMachine
from pool.simulation.policy import Policy
from pool.simulation.tally import Moment, Served, Tally
from pool.warm_targets import RECENT_S

Told = Callable[[SimulatedFunction], None]


class SimulatedFleet:
    """`rested` is told that an instance of a function has no call, `emptied` that there is none of it."""

    def __init__(
        self,
        agenda: Agenda,
        machine: SimulatedMachine,
        tally: Tally,
        policy: Policy,
        rested: Told,
        emptied: Told,
    ) -> None:
        self._agenda = agenda
        self._machine = machine
        self._tally = tally
        self._policy = policy
        self._rested = rested
        self._emptied = emptied
        self._number = count()
        self._paused: dict[SimulatedInstance, float] = {}
        """Since when."""
        self._ready = 0
        self.instances: dict[str, SimulatedInstance] = {}
        self.starting = 0
        self.in_flight = 0
        self.queued = 0
        self.calls_are_short = False
        """For memory or a place to start. No warm instance is made then: it would take what they wait for."""
        self.changed = False
        """Memory or a place to start may be free that was not."""

    # --- calls

    def enqueue(self, function: SimulatedFunction, duration_s: float) -> None:
        function.queue.append((self._agenda.now, duration_s))
        self.queued += 1

    def learn(self, instance: SimulatedInstance) -> None:
        """An instance that had no call gets one: what its function's keep-alive goes by."""
        if instance.function.arrivals is not None:
            instance.function.arrivals.called(self._agenda.now, instance.since if instance.used else None)

    def begin(self, instance: SimulatedInstance, duration_s: float) -> None:
        function = instance.function
        if instance in function.idle:
            del function.idle[instance]
            del self._machine.candidates[instance]
        instance.busy += 1
        instance.used = True
        if instance.busy == function.slots:
            del function.free[instance]
        self.in_flight += 1
        self._tally.busy_seconds += duration_s
        self._agenda.at(self._agenda.now + duration_s, lambda: self._finish(instance))

    def _finish(self, instance: SimulatedInstance) -> None:
        function = instance.function
        self.in_flight -= 1
        instance.busy -= 1
        instance.since = function.last_used = self._agenda.now
        function.free.pop(instance, None)
        function.free[instance] = None
        self._serve(instance, "queued")
        if not instance.busy:
            self._rest(instance)

    def _serve(self, instance: SimulatedInstance, kind: Served) -> None:
        """Waiting calls get its free slots."""
        queue = instance.function.queue
        while queue and instance.busy < instance.function.slots:
            arrived, duration_s = queue.popleft()
            self.queued -= 1
            self._tally.begun(kind, self._agenda.now - arrived)
            self.begin(instance, duration_s)

    # --- instances

    def start(self, function: SimulatedFunction) -> bool:
        """False if there is no memory for it."""
        taken = self._machine.take_warm(function, self._agenda.now)
        if not taken and not self._make_room(function.memory_mb):
            return False
        instance = SimulatedInstance(
            f"i{next(self._number)}", function, self._agenda.now, "warm" if taken else "cold"
        )
        self.instances[instance.id] = instance
        function.on_the_way += 1
        self.starting += 1
        if function.queue:
            self.learn(instance)
            instance.used = True
        self._tally.started(instance.kind, ahead=not function.queue)
        cost_s = self._policy.warm_s if taken else function.cold_s
        self._agenda.at(self._agenda.now + cost_s, lambda: self._started(instance, cost_s))
        self.keep_warm()
        return True

    def _make_room(self, memory_mb: int) -> bool:
        victims = self._machine.victims(memory_mb, self._agenda.now)
        if victims is None:
            return False
        for victim in victims:
            self._tally.evictions += 1
            self.stop(self.instances[victim])
        self._machine.take(memory_mb, self._agenda.now)
        return True

    def _started(self, instance: SimulatedInstance, cost_s: float) -> None:
        self.starting -= 1
        self.changed = True
        self._machine.evictor.started(instance.function.name, cost_s)
        self._become_ready(instance)
        self.keep_warm()

    def _become_ready(self, instance: SimulatedInstance) -> None:
        function = instance.function
        function.on_the_way -= 1
        function.ready += 1
        self._ready += 1
        instance.since = self._agenda.now
        function.free[instance] = None
        self._serve(instance, instance.kind)
        if not instance.busy:
            self._rest(instance)

    def _rest(self, instance: SimulatedInstance) -> None:
        """It has no call."""
        function = instance.function
        function.idle[instance] = None
        self._machine.may_go(instance, paused=False)
        self.changed = True
        self._rested(function)

    def pause(self, instance: SimulatedInstance) -> None:
        function = instance.function
        del function.idle[instance]
        del function.free[instance]
        function.paused[instance] = None
        function.ready -= 1
        self._ready -= 1
        self._paused[instance] = self._agenda.now
        self._machine.may_go(instance, paused=True)

    def resume(self, instance: SimulatedInstance) -> None:
        function = instance.function
        del function.paused[instance]
        self._leave_pause(instance)
        del self._machine.candidates[instance]
        self.learn(instance)
        function.on_the_way += 1
        instance.kind = "paused"
        self._tally.resumes += 1
        self._agenda.at(self._agenda.now + self._policy.resume_s, lambda: self._become_ready(instance))

    def _leave_pause(self, instance: SimulatedInstance) -> None:
        self._tally.paused_seconds += self._agenda.now - self._paused.pop(instance)

    def stop(self, instance: SimulatedInstance) -> None:
        function = instance.function
        if instance in function.paused:
            del function.paused[instance]
            self._leave_pause(instance)
        else:
            del function.idle[instance]
            del function.free[instance]
            function.ready -= 1
            self._ready -= 1
        del self._machine.candidates[instance]
        del self.instances[instance.id]
        self._machine.take(-function.memory_mb, self._agenda.now)
        self.changed = True
        self._tally.went(self._agenda.now - instance.began)
        if function.arrivals is not None and instance.used:
            function.arrivals.stopped(instance.since)
        if not function.alive:
            self._emptied(function)

    def keep_warm(self) -> None:
        """Too much of it goes, what is missing is made; while calls are short it is theirs."""
        self.changed = True
        if self.calls_are_short:
            return
        for kind in self._machine.keep_warm(self._agenda.now):
            self._agenda.at(self._agenda.now + self._policy.cold_s, partial(self._warm_made, kind))

    def _warm_made(self, kind: Kind) -> None:
        """More are kept for a while after many were taken: look again when that is over."""
        self._machine.stock.made(kind)
        self.changed = True
        self._agenda.at(self._agenda.now + RECENT_S, self.keep_warm)
        self.keep_warm()

    # --- figures

    def sample(self, at: float) -> None:
        idle = len(self._machine.candidates) - len(self._paused)
        on_the_way = len(self.instances) - self._ready - len(self._paused)
        self._tally.timeline.append(
            Moment(
                at_s=at,
                starting=on_the_way,
                busy=self._ready - idle,
                idle=idle,
                paused=len(self._paused),
                warm=len(self._machine.stock),
                memory_mb=self._machine.used_mb,
                queued=self.queued,
            )
        )

    def close(self) -> None:
        """Count what is still there."""
        for instance in self._paused:
            self._tally.paused_seconds += self._agenda.now - self._paused[instance]
        for instance in self.instances.values():
            self._tally.went(self._agenda.now - instance.began)
