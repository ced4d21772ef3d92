"""Runs the pool's own decisions (`scaling`, `eviction`, `learning`) over a trace, by events, without a clock.

What it leaves out: the way of messages, processors (a start takes as long beside others as alone), and that
routers hold an idle slot for a while before it can be taken from them.
"""

from math import ceil, inf

from plat.errors import PlatError
from pool.scaling import decide
from pool.simulation.agenda import Agenda
from pool.simulation.fleet import SimulatedFleet
from pool.simulation.functions import SimulatedFunction
from pool.simulation.machine import SimulatedMachine
from pool.simulation.policy import Policy
from pool.simulation.tally import Report, Tally
from pool.simulation.trace import Trace

TICK_S = 0.25
"""Idle instances are looked at so often, as in the pool."""

ROUNDING_S = 1e-6
"""A tick comes this much later, so that what is due then is due in every rounding."""

HOLD_S = 5.0
"""A slot that was idle for less is still with the router: the pool does not see the call."""

MOMENTS = 600


def simulate(trace: Trace, policy: Policy, step_s: float | None = None) -> Report:
    """What becomes of the trace's calls; every one is served. `step_s`: between moments of the timeline.

    Raises PlatError `invalid` if an instance does not fit into the machine at all.
    """
    simulation = Simulation(trace, policy)
    return simulation.run(step_s or max(trace.span_s / MOMENTS, TICK_S))


class Simulation:
    """One machine, its functions, and what is decided about them."""

    def __init__(self, trace: Trace, policy: Policy) -> None:
        self._trace = trace
        self._policy = policy
        self._functions = [SimulatedFunction(profile, policy) for profile in trace.functions]
        _check_memory(self._functions, policy)
        self._hold_s = min(HOLD_S, policy.idle_s / 2)
        self._agenda = Agenda()
        self._tally = Tally()
        self._machine = SimulatedMachine(self._functions, policy)
        self._fleet = SimulatedFleet(
            self._agenda, self._machine, self._tally, policy, self._look_later, self._plan_ahead
        )
        self._short: dict[SimulatedFunction, None] = {}
        """Functions with calls that wait for memory or a place to start, the first one first."""
        self._wishes: dict[SimulatedFunction, None] = {}
        """Functions short of their minimum only: they come after those."""

    def run(self, step_s: float) -> Report:
        for function in self._functions if self._policy.min else ():
            self._balance(function)
        self._fleet.keep_warm()
        agenda, fleet, sample_at = self._agenda, self._fleet, 0.0
        calls = iter(self._trace)
        call = next(calls, None)
        while call is not None or fleet.in_flight or fleet.queued:
            after = agenda.next_at if call is None else min(call.arrival_s, agenda.next_at)
            assert after < inf, "calls wait, and nothing will happen"
            while sample_at < after:
                fleet.sample(sample_at)
                sample_at += step_s
            if call is not None and call.arrival_s <= after:
                agenda.now = after
                self._arrive(self._functions[call.function], call.duration_s)
                call = next(calls, None)
            else:
                agenda.advance()
            if fleet.changed:
                self._retry()
        fleet.sample(agenda.now)
        fleet.close()
        return self._tally.report(len(self._functions), agenda.now, self._machine.mb_seconds(agenda.now))

    def _arrive(self, function: SimulatedFunction, duration_s: float) -> None:
        now = self._agenda.now
        instance = next(reversed(function.free), None)
        if instance is None:
            self._machine.evictor.used(function.name, now)
        elif not instance.busy and now - instance.since > self._hold_s:
            self._machine.evictor.used(function.name, now)
            self._fleet.learn(instance)
        function.expected_until = -inf
        if instance is not None:
            self._tally.begun("hot", 0.0)
            self._fleet.begin(instance, duration_s)
        else:
            self._fleet.enqueue(function, duration_s)
            self._balance(function)

    # --- decisions

    def _balance(self, function: SimulatedFunction) -> None:
        """As the pool does on every demand and every tick."""
        decision = decide(function.need(self._agenda.now, self._machine.room(function)), self._agenda.now)
        instances = self._fleet.instances
        for name in decision.resume:
            self._fleet.resume(instances[name])
        for name in decision.pause:
            self._fleet.pause(instances[name])
        for name in decision.stop:
            self._fleet.stop(instances[name])
        started = self._start_some(function, decision.start)
        self._note(function, decision.short or started < decision.start)

    def _note(self, function: SimulatedFunction, is_short: bool) -> None:
        """Whoever is on a list already keeps its place."""
        mine, other = (self._short, self._wishes) if function.queue else (self._wishes, self._short)
        other.pop(function, None)
        if is_short:
            mine[function] = None
        else:
            mine.pop(function, None)
        self._fleet.calls_are_short = bool(self._short)

    def _start_some(self, function: SimulatedFunction, wanted: int) -> int:
        """How many were started: there are places for a few at a time, and whoever waited first is first."""
        if wanted and next(iter(self._short), function) is not function:
            return 0
        started = 0
        while started < wanted and self._fleet.starting < self._policy.starts_at_once:
            if not self._fleet.start(function):
                break
            started += 1
        return started

    def _retry(self) -> None:
        self._fleet.changed = False
        for waiting in (self._short, self._wishes):
            for function in list(waiting):
                self._balance(function)
                if function in waiting:
                    return

    # --- what time brings

    def _look_later(self, function: SimulatedFunction) -> None:
        """At the next tick at which an idle instance is due."""
        due = function.next_look(self._agenda.now)
        when = max(ceil(due / TICK_S) * TICK_S, self._agenda.now + TICK_S) + ROUNDING_S if due < inf else inf
        if when < function.timer:
            function.timer = when
            self._agenda.at(when, lambda: self._look(function, when))

    def _look(self, function: SimulatedFunction, when: float) -> None:
        """One that an earlier one has overtaken does nothing."""
        if function.timer == when:
            function.timer = inf
            self._balance(function)
            self._look_later(function)

    def _plan_ahead(self, function: SimulatedFunction) -> None:
        if function.arrivals is None:
            return
        window = function.arrivals.expected(function.last_used, self._policy.idle_s, self._agenda.now)
        if window is not None and window.begin > self._agenda.now:
            used = function.last_used
            begin = max(self._agenda.now, window.begin - function.cold_s)
            self._agenda.at(begin, lambda: self._make_ahead(function, used, window.end))

    def _make_ahead(self, function: SimulatedFunction, last_used: float, until: float) -> None:
        """Unless it was called meanwhile."""
        if function.last_used == last_used and not function.alive:
            function.expected_until = until
            self._balance(function)
            self._agenda.at(until + ROUNDING_S, lambda: self._balance(function))


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
