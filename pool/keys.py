"""Idempotency keys, where no Redis keeps them: the pool's memory. Decides only.

A pool that has just started waits until its routers have said which keys their calls have.
"""

from plat.feed import KeyRequest, KeyVerdict
from plat.idempotency import Records, Renew

SWEEP_S = 10.0


class Keys:
    """Of this pool, since `now`. `expected_routers` is how many there should be."""

    def __init__(self, expected_routers: int, limit_bytes: int, now: float) -> None:
        self.records = Records(now, limit_bytes)
        self._expected_routers = expected_routers
        self._here: set[str] = set()
        self._swept_at = now

    def router_here(self, router: str, claims: list[Renew], now: float) -> None:
        for claim in claims:
            self.records.answer(claim, now)
        self._here.add(router)
        if len(self._here) == self._expected_routers:
            self.records.trust()

    def router_away(self, router: str) -> None:
        """Another that comes in its place says nothing of its calls: it is none of those that are here."""
        self._here.discard(router)

    def answer(self, message: KeyRequest, now: float) -> KeyVerdict:
        if now - self._swept_at >= SWEEP_S:
            self._swept_at = now
            self.records.sweep(now)
        return KeyVerdict(message.number, self.records.answer(message.request, now))
