"""What is to happen in a simulation: by time, and at the same time in the order in which it was noted."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf

Action = Callable[[], None]


class Agenda:
    """Its `now` is the time of what happens; others may set it on, never back."""

    def __init__(self) -> None:
        self._events: list[tuple[float, int, Action]] = []
        self._number = count()
        self.now = 0.0

    def at(self, when: float, action: Action) -> None:
        heappush(self._events, (when, next(self._number), action))

    @property
    def next_at(self) -> float:
        """Infinite if nothing is to happen."""
        return self._events[0][0] if self._events else inf

    def advance(self) -> None:
        """Let the next thing happen."""
        self.now, _, action = heappop(self._events)
        action()
