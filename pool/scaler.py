"""Does with a version's instances what `scaling.decide` says, within the machine's memory.

When that is short, warm instances go first, then idle instances of others, in the order of `eviction`;
never one with a call in flight, and never one of a function's minimum.
"""

import os
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import msgspec

from plat.feed import FunctionEntry, VersionEntry
from plat.logs import get_logger
from pool.decisions import Decisions
from pool.demand import Demands
from pool.eviction import Candidate, Evictor, GreedyDual
from pool.expectations import Expectations
from pool.fleet import Fleet
from pool.ledger import Allotment, Ledger
from pool.lifecycle import ON_THE_WAY, State
from pool.member import Member
from pool.scaling import NO_LIMIT, Decision, IdleInstance, Need, decide
from pool.table import FunctionTable, is_live
from pool.windows import Minimums

log = get_logger(__name__)

START_PLACES = max(4, 2 * (os.cpu_count() or 1))
"""Instances that start at the same time, over all functions; the rest wait for a place."""


class Scaler:
    """`drain` ends an instance as soon as no call is in it.

    `memory_mb`: what the limits of all instances may add up to; 0: anything.
    """

    def __init__(
        self,
        table: FunctionTable,
        fleet: Fleet,
        ledger: Ledger,
        demands: Demands,
        *,
        memory_mb: int,
        learned: bool,
        drain: Callable[[Member], None],
    ) -> None:
        self._table = table
        self._fleet = fleet
        self._ledger = ledger
        self._demands = demands
        self._memory_mb = memory_mb
        self._drain = drain
        self._trials: dict[str, VersionEntry] = {}
        self._minimums = Minimums()
        self._expectations = Expectations(learned=learned)
        self.decisions = Decisions()
        self.evictor: Evictor = GreedyDual()
        self.starts_are_held = False
        """True until the machine is listed: what is needed may be running already."""
        self.short: set[str] = set()
        """Versions that wait for memory."""

    # --- a version that is to go live

    def begin_trial(self, version: VersionEntry) -> None:
        """No table knows it yet: its first instance is not to be taken for an old one."""
        self._trials[version.id] = version
        reason = "deployed: one instance is started, to see whether it works"
        self.decisions.note_event(version.function, version.number, reason, datetime.now(UTC))

    def end_trial(self, version: VersionEntry) -> None:
        self._trials.pop(version.id, None)

    def on_trial(self, version_id: str) -> VersionEntry | None:
        return self._trials.get(version_id)

    # --- a decision

    def scale(self, version: VersionEntry, function: FunctionEntry | None) -> Decision:
        """Decide and do. Synchronous; the fleet does what takes time."""
        need = self._need(version, function)
        decision = decide(need, time.monotonic())
        for instance in decision.stop:
            self._note_stop(instance, function)
            self._with(instance, self._drain)
        for instance in decision.pause:
            self._with(instance, self._fleet.pause)
        for instance in decision.resume:
            self._with(instance, self._fleet.resume)
        self._note_short(version.id, decision.short)
        started = self._start(version, decision.start)
        done = msgspec.structs.replace(decision, start=started)
        if function is not None:  # of one that was deleted nobody will ask
            self.decisions.note(version.function, version.number, need, done, datetime.now(UTC))
        return decision

    def _note_short(self, version_id: str, short: bool) -> None:
        if short:
            self.short.add(version_id)
        else:
            self.short.discard(version_id)

    def minimum(self, function: FunctionEntry) -> int:
        """Instances of the function to keep ready now."""
        return self._minimums.of(function, datetime.now())

    # --- what is learned

    def used(self, function: str, allotment: Allotment, now: float) -> None:
        """Slots of an instance go to a router whose calls wait."""
        self.evictor.used(function, now)
        if allotment.woken:
            self._expectations.used(function, allotment.idle_since, now)

    def due(self, now: float) -> list[FunctionEntry]:
        """Functions that are expected to be called from about now on."""
        functions = [self._table.function(name) for name in self._expectations.due(now)]
        return [each for each in functions if each is not None and not each.stopped]

    def forget(self, function: str) -> None:
        """It was deleted."""
        self.decisions.forget(function)
        self._expectations.forget(function)

    def _note_stop(self, instance: str, function: FunctionEntry | None) -> None:
        account = self._ledger.account(instance)
        if function is not None and account is not None and account.used:
            self._expectations.stopped(function, account.last_used, time.monotonic())

    def _wanted(self, function: FunctionEntry, *, room: bool) -> int:
        """Its minimum, and one if a call is expected and it drives nobody out."""
        expected = room and self._expectations.is_expected(function.name, time.monotonic())
        return max(self.minimum(function), int(expected))

    def _with(self, instance: str, do: Callable[[Member], None]) -> None:
        member = self._fleet.get(instance)
        if member is not None and member.managed:
            do(member)

    def _start(self, version: VersionEntry, count: int) -> int:
        """How many of `count` there were places for."""
        for started in range(0 if self.starts_are_held else count):
            if not self._fleet.has_warm(version):
                if self._fleet.starting() >= START_PLACES:
                    return started
                if not self._make_room(version):
                    self.short.add(version.id)
                    return started
            self._fleet.start(version)
        return 0 if self.starts_are_held else count

    def _need(self, version: VersionEntry, function: FunctionEntry | None) -> Need:
        members = self._fleet.members(version.id)
        trial = version.id in self._trials
        alive = sum(member.state is not State.DRAINING for member in members)
        maximum = _most_instances(function, version) if function else 1
        return Need(
            live=is_live(function, version) or trial,
            stopped=function is not None and function.stopped and not trial,
            min=self._wanted(function, room=self._fits(version)) if function else 0,
            max=maximum,
            idle_s=self._expectations.idle_s(function) if function else 0,
            pause_after_s=function.pause_after_s if function else None,
            concurrency=version.spec.concurrency,
            queued=self._demands.outstanding(version.id),
            ready=sum(member.state is State.READY for member in members),
            on_the_way=sum(member.state in ON_THE_WAY or member.resuming for member in members),
            idle=tuple(
                IdleInstance(account.instance, account.last_used)
                for account in self._ledger.of_version(version.id)
                if account.settled and account.granting
            ),
            paused=tuple(self._paused(members)),
            retry_at=self._fleet.backoff.retry_at(version.id),
            room=self._room(version.spec.memory_mb, maximum - alive),
        )

    def _paused(self, members: list[Member]) -> list[IdleInstance]:
        paused = []
        for member in members:
            account = self._ledger.account(member.id)
            if member.state is State.PAUSED and not member.resuming and account is not None:
                paused.append(IdleInstance(member.id, account.last_used))
        return paused

    # --- memory

    def free_mb(self) -> int:
        """May be below zero: what was adopted is there, whether it fits or not."""
        return self._memory_mb - self._fleet.memory_mb() if self._memory_mb else NO_LIMIT

    def _room(self, size_mb: int, enough: int) -> int:
        """New instances of that size that fit; not looked into further than `enough`."""
        if not self._memory_mb or not size_mb:
            return NO_LIMIT
        free_mb = self.free_mb()
        if free_mb // size_mb >= enough:
            return enough
        evictable_mb = self._fleet.warm_memory_mb() + sum(each.memory_mb for each in self._candidates())
        return max(0, (free_mb + evictable_mb) // size_mb)

    def _fits(self, version: VersionEntry) -> bool:
        """Whether one more, or the one that is there, needs nobody to go."""
        there = self._fleet.has_warm(version) or bool(self._fleet.members(version.id))
        return there or self.free_mb() >= version.spec.memory_mb

    def _make_room(self, version: VersionEntry) -> bool:
        """Whether an instance of it fits now: what was sent away for it is as good as gone."""
        lacking_mb = version.spec.memory_mb - self.free_mb()
        if lacking_mb > 0:
            lacking_mb -= self._fleet.give_up_warm(lacking_mb)
        if lacking_mb <= 0:
            return True
        victims = self.evictor.choose(self._candidates(), lacking_mb)
        for instance in victims:
            self._with(instance, partial(self._evict, version.function))
        return bool(victims)

    def _evict(self, function: str, victim: Member) -> None:
        log.info("instance evicted", instance=victim.id, function=victim.version.function, to=function)
        reason = f'evicted: memory is short, and calls of "{function}" wait'
        self.decisions.note_event(victim.version.function, victim.version.number, reason, datetime.now(UTC))
        self._drain(victim)

    def _candidates(self) -> list[Candidate]:
        """Idle instances beyond their function's minimum of which nobody waits."""
        alive: Counter[str] = Counter()
        idle = []
        for member in self._fleet.members():
            account = self._ledger.account(member.id)
            if account is None or member.stopping or member.state not in (State.READY, State.PAUSED):
                continue
            alive[member.version.function] += 1
            settled = account.settled and not member.resuming and member.managed
            if settled and not self._demands.outstanding(member.version.id):
                idle.append(
                    Candidate(
                        instance=member.id,
                        function=member.version.function,
                        memory_mb=member.version.spec.memory_mb,
                        last_used=account.last_used,
                        paused=member.state is State.PAUSED,
                    )
                )
        return self._beyond_minimum(idle, alive)

    def _beyond_minimum(self, idle: list[Candidate], alive: Counter[str]) -> list[Candidate]:
        """The oldest of each function, so many that its minimum stays."""
        spare: dict[str, int] = {}
        chosen = []
        for each in sorted(idle, key=lambda candidate: candidate.last_used):
            if each.function not in spare:
                function = self._table.function(each.function)
                spare[each.function] = alive[each.function] - (self.minimum(function) if function else 0)
            if spare[each.function] > 0:
                spare[each.function] -= 1
                chosen.append(each)
        return chosen


def _most_instances(function: FunctionEntry, version: VersionEntry) -> int:
    """No more than the calls that may be in flight have use for."""
    if function.max_in_flight is None:
        return function.max
    concurrency = version.spec.concurrency or function.max_in_flight
    return min(function.max, -(-function.max_in_flight // concurrency))
