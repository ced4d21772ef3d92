"""Slots to routers that wait, and back from those that do not: what `ledger` allows, said over the feed."""

import time
from collections.abc import Callable

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
        """What is home, to those who wait."""
        now = time.monotonic()
        for router, queued in self._demands.of(version_id).items():
            for allotment in self._ledger.grant(version_id, router, queued, now, self._room(version_id)):
                member = self._fleet.get(allotment.instance)
                assert member is not None, "an account without an instance"
                self._send(router, Grant(member.id, version_id, member.address, allotment.slots))
                self._demands.granted(version_id, router, allotment.slots)
                self._used(member.version.function, allotment, now)

    def reclaim(self, version_id: str) -> None:
        """Ask back what lies with routers that do not wait; of those that wait, what is over their share."""
        waiting = self._demands.of(version_id)
        most = self._most_in_flight(version_id)
        total = self._ledger.total(version_id) if most is None else most
        share = max(1, total // max(1, len(waiting)))
        keep_all = dict.fromkeys(waiting, UNLIMITED_SLOTS)
        keep_share = dict.fromkeys(waiting, share if len(waiting) <= total else 0)
        for router, queued in waiting.items():
            wanted = queued - self._ledger.coming(version_id)
            wanted -= self._ask_back(version_id, wanted, router, keep_all)
            missing = share - self._ledger.held_by(version_id, router)
            self._ask_back(version_id, min(wanted, missing), router, keep_share)

    def _room(self, version_id: str) -> int | None:
        """How many more slots of the version's function routers may hold; None: any number."""
        most, function = self._most_in_flight(version_id), self._function_of(version_id)
        if most is None or function is None:
            return None
        return max(0, most - sum(self._ledger.held(version.id) for version in function.versions))

    def _most_in_flight(self, version_id: str) -> int | None:
        function = self._function_of(version_id)
        return function.max_in_flight if function is not None else None

    def ask(self, asked: list[Allotment]) -> None:
        for each in asked:
            self._send(each.router, Reclaim(each.instance, each.slots))

    def _ask_back(self, version_id: str, wanted: int, router: str, keep: dict[str, int]) -> int:
        if wanted <= 0:
            return 0
        asked = self._ledger.reclaim(version_id, wanted, router, keep)
        self.ask(asked)
        return sum(each.slots for each in asked)
