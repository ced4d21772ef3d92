"""Runs the pool's own decisions (`scaling`, `eviction`, `learning`) over a trace, by events, without a clock.

What it leaves out: the way of messages, processors (a start takes as long beside others as alone), and that
routers hold an idle slot for a while before it can be taken from them.
"""

from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import ceil, inf

from plat.errors import PlatError
from pool.drivers.base import Kind
from pool.policy import Policy
from pool.scaling import decide
from pool.simulated import SimulatedFunction, SimulatedInstance
from pool.simulated_machine import SimulatedMachine
from pool.tally import Moment, Report, Served, Tally
from pool.trace import Trace
from pool.warm_targets import RECENT_S

TICK_S = 0.25
"""Idle instances are looked at so often, as in the pool."""

ROUNDING_S = 1e-6
"""A tick comes this much later, so that what is due then is due in every rounding."""

HOLD_S = 5.0
"""A slot that was idle for less is still with the router: the pool does not see the call."""

MOMENTS = 600

Action = Callable[[], None]


def simulate(trace: Trace, policy: Policy, step_s: float | None = None) -> Report:
    """What becomes of the trace's calls; every one is served. `step_s`: between moments of the timeline.

    Raises PlatError `invalid` if an instance does not fit into the machine at all.
    """
    simulation = Simulation(trace, policy)
    return simulation.run(step_s or max(trace.span_s / MOMENTS, TICK_S))


class Simulation:
    """One machine, its functions, and what is to happen."""

    def __init__(self, trace: Trace, policy: Policy) -> None:
        self._trace = trace
        self._policy = policy
        self._functions = [SimulatedFunction(profile, policy) for profile in trace.functions]
        self._hold_s = min(HOLD_S, policy.idle_s / 2)
        self._events: list[tuple[float, int, Action]] = []
        self._number = count()
        self._now = 0.0
        self._instances: dict[str, SimulatedInstance] = {}
        self._paused: dict[SimulatedInstance, float] = {}
        """Since when."""
        self._machine = SimulatedMachine(self._functions, policy)
        self._starting = self._ready = self._queued = self._in_flight = 0
        self._short: dict[SimulatedFunction, None] = {}
        """Functions that could not start all they need, in the order in which that happened."""
        self._changed = False
        """Somebody in `_short` might have more luck now."""
        self._tally = Tally()
        _check_memory(self._functions, policy)

    def run(self, step_s: float) -> Report:
        for function in self._functions if self._policy.min else ():
            self._balance(function)
        self._keep_warm()
        calls = iter(self._trace)
        call = next(calls, None)
        sample_at = 0.0
        while call is not None or self._in_flight or self._queued:
            arrives = call is not None and not (self._events and self._events[0][0] < call.arrival_s)
            after = call.arrival_s if arrives and call else self._events[0][0]
            while sample_at < after:
                self._sample(sample_at)
                sample_at += step_s
            self._now = after
            if arrives and call:
                self._arrive(self._functions[call.function], call.duration_s)
                call = next(calls, None)
            else:
                heappop(self._events)[2]()
            if self._changed and self._short:
                self._retry()
        self._sample(self._now)
        return self._close()

    def _at(self, when: float, action: Action) -> None:
        heappush(self._events, (when, next(self._number), action))

    # --- calls

    def _arrive(self, function: SimulatedFunction, duration_s: float) -> None:
        instance = next(reversed(function.free), None)
        if instance is None:
            self._machine.evictor.used(function.name, self._now)
        elif not instance.busy and self._now - instance.since > self._hold_s:
            self._machine.evictor.used(function.name, self._now)
            self._learn(instance)
        function.expected_until = float("-inf")
        if instance is not None:
            self._tally.begun("hot", 0.0)
            self._begin(instance, duration_s)
        else:
            function.queue.append((self._now, duration_s))
            self._queued += 1
            self._balance(function)

    def _learn(self, instance: SimulatedInstance) -> None:
        """An instance that had no call gets one: what its function's keep-alive goes by."""
        if instance.function.arrivals is not None:
            instance.function.arrivals.called(self._now, instance.since if instance.used else None)

    def _begin(self, instance: SimulatedInstance, duration_s: float) -> None:
        function = instance.function
        if instance in function.idle:
            del function.idle[instance]
            del self._machine.candidates[instance]
        instance.busy += 1
        instance.used = True
        if instance.busy == function.slots:
            del function.free[instance]
        self._in_flight += 1
        self._tally.busy_seconds += duration_s
        self._at(self._now + duration_s, lambda: self._finish(instance))

    def _finish(self, instance: SimulatedInstance) -> None:
        function = instance.function
        self._in_flight -= 1
        instance.busy -= 1
        instance.since = function.last_used = self._now
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
            self._queued -= 1
            self._tally.begun(kind, self._now - arrived)
            self._begin(instance, duration_s)

    # --- instances

    def _balance(self, function: SimulatedFunction) -> None:
        """As the pool does on every demand and every tick."""
        decision = decide(function.need(self._now, self._machine.room(function)), self._now)
        for name in decision.resume:
            self._resume(self._instances[name])
        for name in decision.pause:
            self._pause(self._instances[name])
        for name in decision.stop:
            self._stop(self._instances[name])
        started = self._start_some(function, decision.start)
        if decision.short or started < decision.start:
            self._short[function] = None  # a place that it has already stays where it is
        else:
            self._short.pop(function, None)

    def _start_some(self, function: SimulatedFunction, wanted: int) -> int:
        """How many were started: there are places for a few at a time, and whoever waited first is first."""
        if wanted and next(iter(self._short), function) is not function:
            return 0
        started = 0
        while started < wanted and self._starting < self._policy.starts_at_once:
            if not self._start(function):
                break
            started += 1
        return started

    def _retry(self) -> None:
        self._changed = False
        for function in list(self._short):
            self._balance(function)
            if function in self._short:
                return

    def _start(self, function: SimulatedFunction) -> bool:
        """False if there is no memory for it."""
        taken = self._machine.take_warm(function, self._now)
        if not taken and not self._make_room(function.memory_mb):
            return False
        instance = SimulatedInstance(
            f"i{next(self._number)}", function, self._now, "warm" if taken else "cold"
        )
        self._instances[instance.id] = instance
        function.on_the_way += 1
        self._starting += 1
        if function.queue:
            self._learn(instance)
            instance.used = True
        self._tally.started(instance.kind, ahead=not function.queue)
        cost_s = self._policy.warm_s if taken else function.cold_s
        self._at(self._now + cost_s, lambda: self._started(instance, cost_s))
        self._keep_warm()
        return True

    def _make_room(self, memory_mb: int) -> bool:
        victims = self._machine.victims(memory_mb, self._now)
        if victims is None:
            return False
        for victim in victims:
            self._tally.evictions += 1
            self._stop(self._instances[victim])
        self._machine.take(memory_mb, self._now)
        return True

    def _started(self, instance: SimulatedInstance, cost_s: float) -> None:
        self._starting -= 1
        self._changed = True
        self._machine.evictor.started(instance.function.name, cost_s)
        self._become_ready(instance)
        self._keep_warm()

    def _become_ready(self, instance: SimulatedInstance) -> None:
        function = instance.function
        function.on_the_way -= 1
        function.ready += 1
        self._ready += 1
        instance.since = self._now
        function.free[instance] = None
        self._serve(instance, instance.kind)
        if not instance.busy:
            self._rest(instance)

    def _rest(self, instance: SimulatedInstance) -> None:
        """It has no call."""
        function = instance.function
        function.idle[instance] = None
        self._machine.may_go(instance, paused=False)
        self._changed = True
        self._look_later(function)

    def _pause(self, instance: SimulatedInstance) -> None:
        function = instance.function
        del function.idle[instance]
        del function.free[instance]
        function.paused[instance] = None
        function.ready -= 1
        self._ready -= 1
        self._paused[instance] = self._now
        self._machine.may_go(instance, paused=True)

    def _resume(self, instance: SimulatedInstance) -> None:
        function = instance.function
        del function.paused[instance]
        self._leave_pause(instance)
        del self._machine.candidates[instance]
        self._learn(instance)
        function.on_the_way += 1
        instance.kind = "paused"
        self._tally.resumes += 1
        self._at(self._now + self._policy.resume_s, lambda: self._become_ready(instance))

    def _leave_pause(self, instance: SimulatedInstance) -> None:
        self._tally.paused_seconds += self._now - self._paused.pop(instance)

    def _stop(self, instance: SimulatedInstance) -> None:
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
        del self._instances[instance.id]
        self._machine.take(-function.memory_mb, self._now)
        self._changed = True
        self._tally.went(self._now - instance.began)
        if function.arrivals is not None and instance.used:
            function.arrivals.stopped(instance.since)
        if not function.alive:
            self._plan_ahead(function)

    # --- what time brings

    def _look_later(self, function: SimulatedFunction) -> None:
        """At the next tick at which an idle instance is due."""
        due = function.next_look(self._now)
        when = max(ceil(due / TICK_S) * TICK_S, self._now + TICK_S) + ROUNDING_S if due < inf else inf
        if when < function.timer:
            function.timer = when
            self._at(when, lambda: self._look(function, when))

    def _look(self, function: SimulatedFunction, when: float) -> None:
        """One that an earlier one has overtaken does nothing."""
        if function.timer == when:
            function.timer = inf
            self._balance(function)
            self._look_later(function)

    def _plan_ahead(self, function: SimulatedFunction) -> None:
        if function.arrivals is None:
            return
        window = function.arrivals.expected(function.last_used, self._policy.idle_s, self._now)
        if window is not None and window.begin > self._now:
            used = function.last_used
            begin = max(self._now, window.begin - function.cold_s)
            self._at(begin, lambda: self._make_ahead(function, used, window.end))

    def _make_ahead(self, function: SimulatedFunction, last_used: float, until: float) -> None:
        """Unless it was called meanwhile."""
        if function.last_used == last_used and not function.alive:
            function.expected_until = until
            self._balance(function)
            self._at(until + ROUNDING_S, lambda: self._balance(function))

    def _keep_warm(self) -> None:
        self._changed = True  # some of it may have gone
        for kind in self._machine.keep_warm(self._now):
            self._at(self._now + self._policy.cold_s, partial(self._warm_made, kind))

    def _warm_made(self, kind: Kind) -> None:
        """More are kept for a while after many were taken: look again when that is over."""
        self._machine.stock.made(kind)
        self._changed = True
        self._at(self._now + RECENT_S, self._keep_warm)
        self._keep_warm()

    # --- figures

    def _sample(self, at: float) -> None:
        idle = len(self._machine.candidates) - len(self._paused)
        on_the_way = len(self._instances) - self._ready - len(self._paused)
        self._tally.timeline.append(
            Moment(
                at_s=at,
                starting=on_the_way,
                busy=self._ready - idle,
                idle=idle,
                paused=len(self._paused),
                warm=len(self._machine.stock),
                memory_mb=self._machine.used_mb,
                queued=self._queued,
            )
        )

    def _close(self) -> Report:
        for instance in self._paused:
            self._tally.paused_seconds += self._now - self._paused[instance]
        for instance in self._instances.values():
            self._tally.went(self._now - instance.began)
        return self._tally.report(len(self._functions), self._now, self._machine.mb_seconds(self._now))


def _check_memory(functions: list[SimulatedFunction], policy: Policy) -> None:
    """Or calls would wait for ever: the largest instance must fit, and all minimums beside each other."""
    largest = max(functions, key=lambda each: each.memory_mb)
    if largest.memory_mb > policy.memory_mb:
        raise PlatError(
            "invalid",
            f"memory_mb = {policy.memory_mb}: an instance of {largest.name} needs {largest.memory_mb}.",
        )
    minimum_mb = policy.min * sum(each.memory_mb for each in functions)
    if minimum_mb > policy.memory_mb:
        raise PlatError(
            "invalid",
            f"memory_mb = {policy.memory_mb}: the minimum of {policy.min} instances of each of the "
            f"{len(functions)} functions needs {minimum_mb}.",
        )
