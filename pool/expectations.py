"""When functions are expected to be called: how long idle instances stay, and who should have one ready now.

By what `learning` knows of each function. Decides only; times are monotonic.
"""

from heapq import heappop, heappush

from plat.feed import FunctionEntry
from pool.learning import Arrivals, Window

LEARNED_FROM_S = 30.0
"""With a shorter `idle_s` a function is to be stopped soon, whatever could be learned."""


class Expectations:
    """Of all functions that were ever called. Unless `learned`, `idle_s` holds and nothing is expected."""

    def __init__(self, *, learned: bool) -> None:
        self._learned = learned
        self._arrivals: dict[str, Arrivals] = {}
        self._agenda: list[tuple[float, str]] = []
        """When which function's window begins: a heap."""
        self._windows: dict[str, Window] = {}

    def used(self, function: str, idle_since: float | None, now: float) -> None:
        """A call takes an idle instance last used then; None: one that no call has had."""
        if not self._learned:
            return
        arrivals = self._arrivals.get(function)
        if arrivals is None:
            arrivals = self._arrivals[function] = Arrivals()
        arrivals.called(now, idle_since)
        self._windows.pop(function, None)

    def stopped(self, function: FunctionEntry, last_used: float, now: float) -> None:
        """An idle instance is stopped that had calls: when will there be one that should not wait?"""
        arrivals = self._of(function)
        if arrivals is None:
            return
        arrivals.stopped(last_used)
        window = arrivals.expected(last_used, function.idle_s, now)
        if window is not None:
            self._windows[function.name] = window
            heappush(self._agenda, (window.begin, function.name))

    def idle_s(self, function: FunctionEntry) -> float:
        """How long an idle instance of it stays."""
        arrivals = self._of(function)
        return arrivals.keep_alive_s(function.idle_s) if arrivals is not None else function.idle_s

    def is_expected(self, function: str, now: float) -> bool:
        """Whether an instance of it should be ready."""
        window = self._windows.get(function)
        return window is not None and window.begin <= now < window.end

    def due(self, now: float) -> list[str]:
        """Functions whose time has come since this was asked last."""
        due = []
        while self._agenda and self._agenda[0][0] <= now:
            function = heappop(self._agenda)[1]
            if self.is_expected(function, now):
                due.append(function)
        return due

    def forget(self, function: str) -> None:
        """It was deleted."""
        self._arrivals.pop(function, None)
        self._windows.pop(function, None)

    def _of(self, function: FunctionEntry) -> Arrivals | None:
        return self._arrivals.get(function.name) if function.idle_s >= LEARNED_FROM_S else None
