"""The minimum of instances by the clock: what a function's windows say of this minute. Decides only."""

from collections.abc import Iterable
from datetime import datetime

from plat.cron import matches
from plat.feed import FunctionEntry
from plat.model import Window


def minimum(function_min: int, windows: Iterable[Window], when: datetime) -> int:
    """The greatest of the function's own minimum and of the windows that are open at `when`.

    A window is open in every minute that its cron expression matches. `when` is the machine's local time.
    """
    return max([function_min, *(window.min for window in windows if matches(window.cron, when))])


class Minimums:
    """What each function keeps in this minute: worked out once a minute, and only where there are windows."""

    def __init__(self) -> None:
        self._minute: tuple[int, ...] = ()
        self._known: dict[str, tuple[FunctionEntry, int]] = {}

    def of(self, function: FunctionEntry, when: datetime) -> int:
        """`when` is the machine's local time; a change of the function counts at once."""
        if not function.windows:
            return function.min
        minute = (when.year, when.month, when.day, when.hour, when.minute)
        if minute != self._minute:
            self._minute = minute
            self._known.clear()
        known = self._known.get(function.name)
        if known is None or known[0] is not function:
            known = (function, minimum(function.min, function.windows, when))
            self._known[function.name] = known
        return known[1]
