"""Whether more instances of a function would serve its calls sooner, or only take turns. Decides only.

The `cpu` of a function is a cap of each instance, not a reservation: most functions wait most of their time,
so their caps may add up to far more than the machine has. What counts is what is used. While all processors
are busy, a function that has its share of them gets no further instance for its queue.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

BUSY = 0.9
"""Of the processors' time; beyond this there is none to be had for one more instance."""

FREE_PER_PROCESSOR = 2
"""So many instances of a function, for each processor, are never held back: one waits, one computes."""

SHARE = 0.5
"""Of what would be the function's if all that want more had the same. Half of it: what the router, the engine
and starts use is nobody's, and the shares of two that compete are never quite equal."""

FORGET_S = 1.0
"""What was seen holds for so long."""


class _Seen(NamedTuple):
    at: float
    used_s: dict[str, float]
    """Processor seconds by instance, from its beginning on."""


class Processors:
    """`count` of the machine. Told now and then how long they were busy, and for whom."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._at = float("-inf")
        self._busy_s = 0.0
        self.are_busy = False
        self._seen: dict[str, _Seen] = {}
        self._used: dict[str, tuple[float, float]] = {}
        """Processors in use by a version's instances, and when that was seen."""

    @property
    def never_held(self) -> int:
        """So many instances of a function may be there, however busy the machine is."""
        return FREE_PER_PROCESSOR * self._count

    def machine(self, busy_s: float, now: float) -> None:
        """`busy_s`: seconds that all processors together were busy, since some fixed time."""
        if now > self._at > float("-inf"):
            self.are_busy = busy_s - self._busy_s >= BUSY * self._count * (now - self._at)
        self._at, self._busy_s = now, busy_s

    def version(self, version_id: str, used_s: Mapping[str, float], ready: int, now: float) -> None:
        """What instances of it have used; those that were asked stand for all that are `ready`."""
        last, self._seen[version_id] = self._seen.get(version_id), _Seen(now, dict(used_s))
        if last is None or now <= last.at or now - last.at > FORGET_S:
            return
        used = [used_s[each] - last.used_s[each] for each in used_s if each in last.used_s]
        if used:
            self._used[version_id] = (sum(used) / len(used) * ready / (now - last.at), now)

    def keep(self, version_ids: Iterable[str], now: float) -> None:
        """Only these want more."""
        wanting = set(version_ids)
        self._seen = {each: seen for each, seen in self._seen.items() if each in wanting}
        self._used = {
            each: (used, at)
            for each, (used, at) in self._used.items()
            if each in wanting and now - at <= FORGET_S
        }

    def are_shared_out(self, version_id: str, now: float) -> bool:
        """Whether all are busy, and the version has its share of them."""
        used, at = self._used.get(version_id, (0.0, float("-inf")))
        if not self.are_busy or now - at > FORGET_S:
            return False
        return used >= SHARE * self._count / len(self._used)
