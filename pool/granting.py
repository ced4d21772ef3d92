"""Slots to routers that wait, and back from those that do not: what `ledger` allows, said over the feed."""

import time
from collections.abc import Callable
from typing import NamedTuple

from plat.feed import UNLIMITED_SLOTS, FunctionEntry, Grant, Reclaim, ToRouter
from pool.demand import Demands
from pool.fleet import Fleet
from pool.ledger import Allotment, Ledger

Send = Callable[[str, ToRouter], None]
"""A message for one router, by name."""


FunctionOf = Callable[[str], FunctionEntry | None]
"""The function that a version, by id, is of."""

Used = Callable[[str, Allotment, float], None]
"""A function's instance is about to be used: who learns from that."""


class Limit(NamedTuple):
    """`most` calls may be in flight, of all these versions of a function."""

    most: int
    versions: list[str]


class Granting:
    """Of all versions."""

    def __init__(
        self, fleet: Fleet, ledger: Ledger, demands: Demands, send: Send, used: Used, function_of: FunctionOf
    ) -> None:
        self._fleet = fleet
        self._ledger = ledger
        self._demands = demands
        self._send = send
        self._used = used
        self._function_of = function_of

    def grant(self, version_id: str) -> None:
        """What is home, to those who wait. Versions that share a limit: those that have least come first."""
        limit = self._limit(version_id)
        if limit is None:
            self._grant(version_id, None)
            return
        for each in sorted(filter(self._demands.outstanding, limit.versions), key=self._ledger.held):
            self._grant(each, limit)

    def _grant(self, version_id: str, limit: Limit | None) -> None:
        if not self._ledger.has_any(version_id):
            return
        now = time.monotonic()
        for router, queued in self._demands.of(version_id).items():
            room = None if limit is None else self._room(limit)
            for allotment in self._ledger.grant(version_id, router, queued, now, room):
                member = self._fleet.get(allotment.instance)
                assert member is not None, "an account without an instance"
                account = self._ledger.account(member.id)
                loading = account is not None and account.loading
                self._send(router, Grant(member.id, version_id, member.address, allotment.slots, loading))
                self._demands.granted(version_id, router, allotment.slots)
                self._used(member.version.function, allotment, now)

    def is_wanted(self, version_id: str) -> bool:
        """Whether calls wait for a slot of the version, or of one that shares its limit."""
        limit = self._limit(version_id)
        versions = [version_id] if limit is None else limit.versions
        return any(map(self._demands.outstanding, versions))

    def reclaim(self, version_id: str) -> None:
        """Ask back what lies with routers that do not wait; of those that wait, what is over their share."""
        limit = self._limit(version_id)
        if limit is not None and not self._room(limit):
            self._make_room(version_id, limit)
            return
        if not self._ledger.has_any(version_id):
            return
        waiting = self._demands.of(version_id)
        total = self._ledger.total(version_id)
        share = max(1, total // max(1, len(waiting)))
        keep_all = dict.fromkeys(waiting, UNLIMITED_SLOTS)
        keep_share = dict.fromkeys(waiting, share if len(waiting) <= total else 0)
        for router, queued in waiting.items():
            wanted = queued - self._ledger.coming(version_id)
            wanted -= self._ask_back(version_id, wanted, router, keep_all)
            missing = share - self._ledger.held_by(version_id, router)
            self._ask_back(version_id, min(wanted, missing), router, keep_share)

    def _make_room(self, version_id: str, limit: Limit) -> None:
        """As `reclaim`, where no more calls may be in flight: slots of any version that shares the limit."""
        waiting, now = self._demands.of(version_id), time.monotonic()
        if not waiting:
            return
        claims = [(router, each) for each in limit.versions for router in self._demands.of(each)]
        keep_all, keep_share = dict.fromkeys(claims, UNLIMITED_SLOTS), limit.most // len(claims)
        self.ask(self._ledger.make_room(limit.versions, sum(waiting.values()), keep_all, now))
        share = max(1, keep_share)
        lacking = {router: share - self._ledger.held_by(version_id, router) for router in waiting}
        missing = sum(max(0, min(queued, lacking[router])) for router, queued in waiting.items())
        self.ask(self._ledger.make_room(limit.versions, missing, dict.fromkeys(claims, keep_share), now))

    def _limit(self, version_id: str) -> Limit | None:
        """How many calls of the version's function may be in flight; None: any number."""
        function = self._function_of(version_id)
        if function is None or function.max_in_flight is None:
            return None
        return Limit(function.max_in_flight, [version.id for version in function.versions])

    def _room(self, limit: Limit) -> int:
        """How many more slots of the function routers may hold."""
        return max(0, limit.most - sum(map(self._ledger.held, limit.versions)))

    def ask(self, asked: list[Allotment]) -> None:
        for each in asked:
            self._send(each.router, Reclaim(each.instance, each.slots))

    def _ask_back(self, version_id: str, wanted: int, router: str, keep: dict[str, int]) -> int:
        if wanted <= 0:
            return 0
        asked = self._ledger.reclaim(version_id, wanted, router, keep)
        self.ask(asked)
        return sum(each.slots for each in asked)
