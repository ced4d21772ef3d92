"""Brings home the slots of routers that are gone, as soon as their instances say that they are idle.

Asks the instances; what may be free, and when, is decided in `away`.
"""

import time
from collections.abc import Callable

from plat.tasks import spawn
from pool.away import AwayRouters
from pool.fleet import Fleet
from pool.ledger import Account, Ledger
from pool.member import Member


class SlotRecovery:
    """`patience_s`: how long a call may be in a member at most.

    `freed` hears of a member some of whose slots have come home; `overdue` of one that is busy though all
    calls of routers that are gone must have ended: nobody can tell any more whose are in it.
    """

    def __init__(
        self,
        ledger: Ledger,
        fleet: Fleet,
        *,
        patience_s: Callable[[Member], float],
        freed: Callable[[Member], None],
        overdue: Callable[[Member], None],
    ) -> None:
        self._ledger = ledger
        self._fleet = fleet
        self._patience_s = patience_s
        self._freed = freed
        self._overdue = overdue
        self._asked: set[str] = set()
        self.away = AwayRouters(time.monotonic())

    def look(self) -> None:
        """Now and then. One question at a time to each instance; those that load are asked when they have."""
        for account in self._ledger.with_away():
            member = self._fleet.get(account.instance)
            if member is not None and not account.loading and account.instance not in self._asked:
                self._asked.add(account.instance)
                spawn(self._resolve(account, member), f"look after {account.instance}")

    async def _resolve(self, account: Account, member: Member) -> None:
        try:
            in_flight = await self._fleet.in_flight(member)
        finally:
            self._asked.discard(account.instance)
        now = time.monotonic()
        free = self.away.free(account.held, in_flight, now)
        if free:
            self._ledger.release(account.instance, free)
            self._freed(member)
        elif self.away.overdue(account.held, now, self._patience_s(member)):
            self._overdue(member)
