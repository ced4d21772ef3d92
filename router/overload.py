"""Do more calls come to a version than it can take? Decides only; time passed in.

A burst may wait: that is what the queue is for. But where calls keep coming faster than they end, and
the pool has no more instances to give, every place in a long queue only makes all answers late. Then
no more calls wait than there are slots, and the rest is refused at once (as in CoDel, RFC 8289: it is
the standing queue that counts, not its length at one moment).
"""

WINDOW_S = 0.025
"""Arrivals and ends are compared over this."""

WINDOWS = 10
"""So many windows in a row must agree: what comes within a quarter of a second is a burst, and may wait."""

EXCESS = 0.2
"""Part of the arrivals of a window that may be left over without calling it too many."""

SATURATED_S = 1.0
"""How long the pool's word holds that there will be no more instances; it repeats it while asked."""


class Load:
    """Arrivals and ends of one version."""

    __slots__ = ("_over", "_saturated_until", "_since", "arrived", "ended")

    def __init__(self) -> None:
        self.arrived = 0
        self.ended = 0
        self._since = 0.0
        self._over = 0
        """Windows in a row with too many arrivals."""
        self._saturated_until = float("-inf")

    def saturated(self, now: float) -> None:
        """The pool says: what there is is all there will be."""
        self._saturated_until = now + SATURATED_S

    def is_too_much(self, slots: int, now: float) -> bool:
        """Asked for every call that finds no free slot."""
        elapsed_s = now - self._since
        if elapsed_s >= WINDOW_S:
            self._judge(slots, is_next=elapsed_s < 2 * WINDOW_S)
            self._since = now
        return self._over >= WINDOWS and now < self._saturated_until

    def _judge(self, slots: int, *, is_next: bool) -> None:
        """A window that nobody asked about for long says nothing."""
        excess = self.arrived - self.ended
        over = is_next and excess > max(slots, EXCESS * self.arrived)
        self._over = self._over + 1 if over else 0
        self.arrived = self.ended = 0
