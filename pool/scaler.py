"""Does with a version's instances what `scaling.decide` says, within what `room` and `processors` have."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from plat.feed import FunctionEntry, VersionEntry
from plat.logs import get_logger
from pool.decisions import Decisions
from pool.demand import Demands
from pool.expectations import Expectations
from pool.fleet import Fleet
from pool.ledger import Allotment, Ledger
from pool.lifecycle import ON_THE_WAY, State
from pool.member import Member
from pool.processors import Processors
from pool.room import Room
from pool.scaling import Decision, IdleInstance, Need, decide, quiet_until
from pool.table import FunctionTable, is_live
from pool.windows import Minimums

log = get_logger(__name__)

START_PLACES = max(4, 2 * (os.cpu_count() or 1))
"""Instances that start at the same time, over all functions; the rest wait for a place."""

LONGEST_QUIET_S = 5.0
"""A version of which nothing is heard is looked at so often: what is learned of it may have changed."""


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
        self._drain = drain
        self._trials: dict[str, VersionEntry] = {}
        self._quiet: dict[str, float] = {}
        """Versions that time alone changes nothing of before this."""
        self._minimums = Minimums()
        self._expectations = Expectations(learned=learned)
        self.decisions = Decisions()
        self.room = Room(
            table,
            fleet,
            ledger,
            demands,
            memory_mb=memory_mb,
            minimum=self.minimum,
            send_away=self._send_away,
        )
        self.processors = Processors(os.cpu_count() or 1)
        self.starts_are_held = False
        """True until the machine is listed: what is needed may be running already."""
        self.short: set[str] = set()
        """Versions that wait for memory."""

    # --- a version that is to go live

    def begin_trial(self, version: VersionEntry) -> None:
        """No table knows it yet: its first instance is not to be taken for an old one.

        It starts also where nobody can go for it: a machine that is full can still be deployed to.
        """
        self._trials[version.id] = version
        if not self._fleet.has_warm(version):
            self.room.make(version)
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
        self._note_short(version, decision)
        self._note_quiet(version.id, function, need, decision)
        started = self._start(version, decision.start)
        done = msgspec.structs.replace(decision, start=started)
        if function is not None:  # of one that was deleted nobody will ask
            self.decisions.note(version.function, version.number, need, done, datetime.now(UTC))
        return decision

    def _note_quiet(
        self, version_id: str, function: FunctionEntry | None, need: Need, decision: Decision
    ) -> None:
        scheduled = function is not None and function.windows
        if decision.does_nothing and not scheduled and version_id not in self._trials:
            self._quiet[version_id] = min(quiet_until(need), time.monotonic() + LONGEST_QUIET_S)
        else:
            self._quiet.pop(version_id, None)

    def stirred(self, version_id: str) -> None:
        """Something happened to the version that may change what it needs."""
        self._quiet.pop(version_id, None)

    def not_quiet(self, version_ids: set[str], now: float) -> list[str]:
        """Those that may need something by now; of all others nothing is kept."""
        self._quiet = {each: until for each in version_ids if (until := self._quiet.get(each, now)) > now}
        return [each for each in version_ids if each not in self._quiet]

    def _note_short(self, version: VersionEntry, decision: Decision) -> None:
        if not decision.short:
            self.wants_nothing(version.id)
            return
        self.short.add(version.id)
        if self._alive(version.id):
            self.room.forget(version.id)
        elif not decision.start:
            self.room.ask_for_a_place(version)

    def wants_nothing(self, version_id: str) -> None:
        """It has what it needs, or no call waits for it any more."""
        self.short.discard(version_id)
        self.room.forget(version_id)

    def only_these_want(self, version_ids: set[str]) -> None:
        """All others are gone, or have nobody who waits."""
        for version_id in self.short - version_ids:
            self.wants_nothing(version_id)

    @property
    def places_are_short(self) -> bool:
        """As many start as may at the same time."""
        return self._fleet.starting() >= START_PLACES

    @property
    def calls_are_short(self) -> bool:
        """For memory, or a place to start: what comes free is theirs, and not the warm stock's."""
        return bool(self.short) or self.places_are_short

    def crowded(self) -> dict[str, list[str]]:
        """Versions whose calls wait though they have what is never held back; with those that are ready."""
        crowded = {}
        for version_id in self._demands.versions():
            ready = [each.id for each in self._fleet.members(version_id) if each.state is State.READY]
            if len(ready) >= self.processors.never_held:
                crowded[version_id] = ready
        return crowded

    def minimum(self, function: FunctionEntry) -> int:
        """Instances of the function to keep ready now."""
        return self._minimums.of(function, datetime.now())

    # --- what is learned

    def used(self, function: str, allotment: Allotment, now: float) -> None:
        """Slots of an instance go to a router whose calls wait."""
        self.room.evictor.used(function, now)
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

    def _send_away(self, victim: Member, function: str) -> None:
        log.info("instance evicted", instance=victim.id, function=victim.version.function, to=function)
        reason = f'evicted: memory is short, and "{function}" needs it'
        self.decisions.note_event(victim.version.function, victim.version.number, reason, datetime.now(UTC))
        self._drain(victim)

    def _alive(self, version_id: str) -> int:
        return sum(member.state is not State.DRAINING for member in self._fleet.members(version_id))

    def _with(self, instance: str, do: Callable[[Member], None]) -> None:
        member = self._fleet.get(instance)
        if member is not None and member.managed:
            do(member)

    def _start(self, version: VersionEntry, count: int) -> int:
        """How many of `count` there were places for."""
        for started in range(0 if self.starts_are_held else count):
            if not self._fleet.has_warm(version):
                if self.places_are_short:
                    return started
                if not self.room.make(version):
                    self.short.add(version.id)
                    return started
            self._fleet.start(version)
        return 0 if self.starts_are_held else count

    def _need(self, version: VersionEntry, function: FunctionEntry | None) -> Need:
        members = self._fleet.members(version.id)
        trial = version.id in self._trials
        alive = self._alive(version.id)
        maximum = _most_instances(function, version) if function else 1
        return Need(
            live=is_live(function, version) or trial,
            stopped=function is not None and function.stopped and not trial,
            min=self._wanted(function, room=self.room.fits(version)) if function else 0,
            max=maximum,
            idle_s=self._expectations.idle_s(function) if function else 0,
            pause_after_s=function.pause_after_s if function else None,
            concurrency=version.spec.concurrency,
            queued=self._demands.outstanding(version.id),
            ready=sum(member.state is State.READY for member in members),
            on_the_way=sum(_is_on_the_way(member) for member in members),
            promised=sum(self._is_promised(member) for member in members),
            idle=tuple(self._idle(members)),
            paused=tuple(self._paused(members)),
            retry_at=self._fleet.backoff.retry_at(version.id),
            room=self.room.instances(version, maximum - alive),
            processors_busy=alive >= self.processors.never_held
            and self.processors.are_shared_out(version.id, time.monotonic()),
        )

    def _is_promised(self, member: Member) -> bool:
        account = self._ledger.account(member.id)
        return account is not None and account.loading

    def _idle(self, members: list[Member]) -> list[IdleInstance]:
        idle = []
        for member in members:
            account = self._ledger.account(member.id)
            if account is not None and account.settled and account.granting and not account.loading:
                idle.append(IdleInstance(member.id, account.last_used, member.pause_from))
        return idle

    def _paused(self, members: list[Member]) -> list[IdleInstance]:
        paused = []
        for member in members:
            account = self._ledger.account(member.id)
            if member.state is State.PAUSED and not member.resuming and account is not None:
                paused.append(IdleInstance(member.id, account.last_used))
        return paused


def _is_on_the_way(member: Member) -> bool:
    """Not one that is to go as soon as it is resumed."""
    return member.state in ON_THE_WAY or (member.resuming and member.state is State.PAUSED)


def _most_instances(function: FunctionEntry, version: VersionEntry) -> int:
    """No more than the calls that may be in flight have use for."""
    if function.max_in_flight is None:
        return function.max
    concurrency = version.spec.concurrency or function.max_in_flight
    return min(function.max, -(-function.max_in_flight // concurrency))
