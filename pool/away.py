"""Routers that are gone, and when the slots they held may be taken as free. Decides only.

A call of a dead router may still run in an instance, and a router whose link merely broke comes back
with its slots: so nobody's slots are free before a grace, and then only once the instance is idle.
"""

from collections.abc import Iterable

from pool.ledger import UNKNOWN_ROUTER

GRACE_S = 2.0
"""A router reconnects within half a second (`router.feed.RECONNECT_S`)."""


class AwayRouters:
    """Since when each router is away. At first: all that the pool has not heard of yet."""

    def __init__(self, now: float) -> None:
        self._since: dict[str, float] = {UNKNOWN_ROUTER: now}
        self._all_here = False

    def left(self, router: str, now: float) -> None:
        self._since[router] = now

    def came(self, router: str) -> None:
        self._since.pop(router, None)

    def complete(self, all_here: bool) -> None:
        """Once as many routers as there should be have said what they hold, nobody else will."""
        self._all_here = self._all_here or all_here

    def free(self, holders: Iterable[str], in_flight: int | None, now: float) -> set[str]:
        """The holders whose slots are free, by what the instance says (None: no answer)."""
        if in_flight != 0:
            return set()
        return {router for router in holders if router in self._since and self._grace_over(router, now)}

    def overdue(self, holders: Iterable[str], now: float, patience_s: float) -> bool:
        """Whether one of them has been away for so long that its calls must have ended.

        If the instance is not idle then, nobody can tell any more whose calls are in it.
        """
        return any(now - self._since[router] > patience_s for router in holders if router in self._since)

    def _grace_over(self, router: str, now: float) -> bool:
        if router == UNKNOWN_ROUTER and self._all_here:
            return True
        return now - self._since[router] >= GRACE_S
