"""Permits for calls in flight: tokens that a call gives back when it has ended. Decides only."""

from typing import Final

from plat.leasing import RESERVE, Answer
from router.limits.buckets import LeasedBucket
from router.limits.shares import AWAY_RETRY_S

ASK_AGAIN_S: Final = 0.05
"""The store is asked again for a permit after this, if a call comes: that another has ended, nobody tells."""


class PermitBucket(LeasedBucket):
    """Permits for calls in flight: taken, and released when the call ends."""

    def take(self, now: float) -> float:
        if self.tokens > 0 and now < self.until:
            self.tokens -= 1
            self.in_use += 1
            self.spent_at = now
            return 0.0
        return self._without_token(now)

    def _without_token(self, now: float) -> float:
        """Nobody's part is given while the store counts anew who has what: calls are in flight."""
        if self._requests.away_since < 0 and now < self._share_until:
            return self._share_until - now
        return super()._without_token(now)

    def put_back(self) -> None:
        self.in_use -= 1
        self.tokens += 1

    def release(self, now: float) -> None:
        """A call has ended. A few permits stay for the next; more go back, as others may wait for them."""
        self.in_use -= 1
        self.tokens += 1
        if self.tokens > self._spare:
            self._ask(now)

    @property
    def _spare(self) -> int:
        return self.burst // (RESERVE * self._requests.parts)

    @property
    def is_small(self) -> bool:
        return True

    def _until_due(self, now: float) -> float:
        return self.due - now

    def _take_share(self, now: float) -> float:
        part = self._share.part_of(self.burst, self._requests.part, self._requests.parts)
        if self.closed or self.in_use >= part:
            return AWAY_RETRY_S
        self.in_use += 1
        return 0.0

    def _target(self, rtt_s: float) -> tuple[int, int]:
        return 0, self._spare

    def settle(self, answer: Answer, sent_at: float, now: float) -> None:
        """The store knows when a permit is free at the latest, which is when a router's lease ends."""
        super().settle(answer, sent_at, now)
        self.due = min(self.due, now + ASK_AGAIN_S)

    def _lease(self, answer: Answer) -> None:
        self.tokens = max(0, answer.lease - self.in_use)
