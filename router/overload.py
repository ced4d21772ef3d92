"""Do more calls come to a version than it can take? Decides only; time passed in.

A burst may wait: that is what the queue is for. But once the queue has been full, the pool has no more
instances to give, and calls keep coming faster than they end, a long queue only makes all answers late.
Then a few calls wait, so that no slot is idle, and the rest is refused at once (as in CoDel, RFC 8289, it
is the standing queue that counts; here what tells it from a burst is that it has filled up).
"""

WINDOW_S = 0.025
"""Arrivals and ends are compared over this."""

CALM_WINDOWS = 10
"""After so many windows in a row in which ends kept up, the flood is over."""

EXCESS = 0.2
"""Part of the arrivals of a window that may be left over without calling it too many."""

SATURATED_S = 1.0
"""How long the pool's word holds that there will be no more instances; it repeats it while asked."""


def most_waiting(slots: int) -> int:
    """How many calls wait in a flood: half as many as are in flight, so each waits for about half a call.

    Measured at twice the capacity of 16 slots: with as many as slots, p99 is a fifth higher for the same
    goodput; with a quarter, the goodput is no longer safe.
    """
    return max(1, slots // 2)


class Load:
    """Arrivals and ends of one version."""

    __slots__ = ("_calm", "_is_flood", "_saturated_until", "_since", "arrived", "ended")

    def __init__(self) -> None:
        self.arrived = 0
        self.ended = 0
        self._since = 0.0
        self._calm = 0
        self._is_flood = False
        self._saturated_until = float("-inf")

    def saturated(self, now: float) -> None:
        """The pool says: what there is is all there will be."""
        self._saturated_until = now + SATURATED_S

    def queue_is_full(self, now: float) -> None:
        """That many do not wait for a burst to pass."""
        if not self._is_flood:
            self._is_flood = True
            self._begin_window(now)
            self._calm = 0

    def is_flood(self, now: float) -> bool:
        """Asked for every call that finds no free slot."""
        if not self._is_flood:
            return False
        if now - self._since >= WINDOW_S:
            self._judge()
            self._begin_window(now)
        return self._is_flood and now < self._saturated_until

    def _judge(self) -> None:
        over = self.arrived - self.ended > EXCESS * self.arrived
        self._calm = 0 if over else self._calm + 1
        self._is_flood = self._calm < CALM_WINDOWS

    def _begin_window(self, now: float) -> None:
        self._since = now
        self.arrived = self.ended = 0
