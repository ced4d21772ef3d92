"""The buckets of all limits, where no Redis keeps them: the pool's memory. Decides only.

A pool that has just started does not know what its predecessor leased, unless every router says: nothing.
"""

from plat.feed import Lease, Leased
from plat.leasing import Buckets

SWEEP_S = 60.0


class Leases:
    """Of this pool. `expected_routers` is how many there should be."""

    def __init__(self, expected_routers: int, now: float) -> None:
        self._buckets: Buckets | None = None
        """Since the first request: until then routers looked for this pool, and admitted their parts."""
        self._expected_routers = expected_routers
        self._without: set[str] | None = set()
        """Routers that were never leased anything; None: one was, or it does not matter any more."""
        self._swept_at = now

    def router_here(self, router: str, *, leased: bool) -> None:
        if self._without is None:
            return
        self._without.add(router)
        if leased:
            self._without = None
        elif len(self._without) >= self._expected_routers:
            self._without = None
            self._buckets = Buckets(float("-inf"))

    def answer(self, router: str, message: Lease, now: float) -> Leased:
        if self._buckets is None:
            self._buckets = Buckets(now)
        if now - self._swept_at >= SWEEP_S:
            self._swept_at = now
            self._buckets.sweep(now)
        return Leased(message.number, self._buckets.lease(router, message.number, message.asks, now))
