"""What the machine's memory has room for, and who goes when it is short.

Warm instances go first, then idle instances of others, in the order of `eviction`; never one with a call in
flight, and never one of a function's minimum. Where a version has no instance at all and nobody is idle,
the one with most instances ends one as soon as its calls have ended.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from plat.feed import FunctionEntry, VersionEntry
from pool.demand import Demands
from pool.eviction import Candidate, Evictor, GreedyDual
from pool.fleet import Fleet
from pool.ledger import Ledger
from pool.lifecycle import State
from pool.member import Member
from pool.scaling import NO_LIMIT
from pool.table import FunctionTable


class Look:
    """What was seen of the machine, at its first question; None: not looked at yet."""

    def __init__(self) -> None:
        self.free_mb: int | None = None
        self.evictable_mb: int | None = None


class Room:
    """`memory_mb`: what the limits of all instances may add up to; 0: anything.

    `minimum` is how many instances of a function are to be kept now. `send_away` ends an instance for the
    sake of a function, by name, as soon as no call is in it.
    """

    def __init__(
        self,
        table: FunctionTable,
        fleet: Fleet,
        ledger: Ledger,
        demands: Demands,
        *,
        memory_mb: int,
        minimum: Callable[[FunctionEntry], int],
        send_away: Callable[[Member, str], None],
    ) -> None:
        self._table = table
        self._fleet = fleet
        self._ledger = ledger
        self._demands = demands
        self._memory_mb = memory_mb
        self._minimum = minimum
        self._send_away = send_away
        self._look: Look | None = None
        self._promised: dict[str, int] = {}
        """Memory that comes free for versions without an instance."""
        self.evictor: Evictor = GreedyDual()

    # --- reading

    @contextmanager
    def seen_as(self, look: Look) -> Iterator[None]:
        """Many versions are weighed one after the other: the machine is looked at once, not for each.

        What changes meanwhile is seen by `make`, which looks again.
        """
        self._look = look
        try:
            yield
        finally:
            self._look = None

    def free_mb(self) -> int:
        """May be below zero: what was adopted is there, whether it fits or not."""
        return self._memory_mb - self._fleet.memory_mb() if self._memory_mb else NO_LIMIT

    def instances(self, version: VersionEntry, enough: int) -> int:
        """New instances of the version that fit; not looked into further than `enough`."""
        size_mb = version.spec.memory_mb
        if not self._memory_mb or not size_mb:
            return NO_LIMIT
        free_mb, enough = self._seen_free_mb() - self._kept_mb(version), max(0, enough)
        if free_mb // size_mb >= enough:
            return enough
        return max(0, (free_mb + self._seen_evictable_mb()) // size_mb)

    def fits(self, version: VersionEntry) -> bool:
        """Whether one more, or the one that is there, needs nobody to go."""
        there = self._fleet.has_warm(version) or self._fleet.has_any(version.id)
        return there or self._seen_free_mb() - self._kept_mb(version) >= version.spec.memory_mb

    def _kept_mb(self, version: VersionEntry) -> int:
        """Promised to others, if it has instances itself."""
        if version.id in self._promised or not self._fleet.has_any(version.id):
            return 0
        return sum(self._promised.values())

    def _seen_free_mb(self) -> int:
        look = self._look or Look()
        if look.free_mb is None:
            look.free_mb = self.free_mb()
        return look.free_mb

    def _seen_evictable_mb(self) -> int:
        look = self._look or Look()
        if look.evictable_mb is None:
            candidates_mb = sum(each.memory_mb for each in self._candidates())
            look.evictable_mb = self._fleet.warm_memory_mb() + candidates_mb
        return look.evictable_mb

    # --- making room

    def make(self, version: VersionEntry) -> bool:
        """Whether an instance of it fits now: what was sent away for it is as good as gone."""
        lacking_mb = version.spec.memory_mb - self.free_mb() + self._kept_mb(version)
        if lacking_mb > 0:
            lacking_mb -= self._fleet.give_up_warm(lacking_mb)
        if lacking_mb <= 0:
            return True
        victims = self.evictor.choose(self._candidates(), lacking_mb)
        for instance in victims:
            member = self._fleet.get(instance)
            assert member is not None, "a candidate that is no member"
            self._send_away(member, version.function)
        return bool(victims)

    def ask_for_a_place(self, version: VersionEntry) -> None:
        """No instance of the version is there, and nobody is idle: a version that has several gives one up.

        Calls that are in it end first. None does while what is going already is enough, or if all together
        were not. What comes free is the version's, until `forget`.
        """
        lacking_mb = version.spec.memory_mb - self.free_mb()
        going = (each for each in self._fleet.members() if each.state is State.DRAINING and not each.stopping)
        lacking_mb -= sum(each.version.spec.memory_mb for each in going)
        leaving = []
        spare = self._spare()
        while lacking_mb > 0 and spare:
            most = max(spare, key=lambda version_id: (len(spare[version_id]), version_id))
            leaving.append(spare[most].pop())
            lacking_mb -= leaving[-1].version.spec.memory_mb
            if not spare[most]:
                del spare[most]
        if lacking_mb > 0:
            self.forget(version.id)
            return
        self._promised[version.id] = version.spec.memory_mb
        for member in leaving:
            self._send_away(member, version.function)

    def forget(self, version_id: str) -> None:
        """It needs no place any more."""
        self._promised.pop(version_id, None)

    def _spare(self) -> dict[str, list[Member]]:
        """Ready instances of each version beyond one, and beyond its function's minimum; the newest last."""
        ready: dict[str, list[Member]] = {}
        for member in self._fleet.members():
            if member.state is State.READY and member.managed:
                ready.setdefault(member.version.id, []).append(member)
        spare = {}
        for version_id, members in ready.items():
            members.sort(key=lambda member: (member.ready_at, member.id))
            if beyond := members[max(1, self._least(members[0].version.function)) :]:
                spare[version_id] = beyond
        return spare

    def _least(self, name: str) -> int:
        function = self._table.function(name)
        return self._minimum(function) if function is not None else 0

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
                spare[each.function] = alive[each.function] - self._least(each.function)
            if spare[each.function] > 0:
                spare[each.function] -= 1
                chosen.append(each)
        return chosen
