"""How many warm instances of which kind to keep (DESIGN 6). Decides only; time passed in.

A kind is kept when live functions are of it; more of it for a while when cold starts come quickly.
"""

from collections import Counter, deque
from collections.abc import Mapping

from pool.drivers.base import Kind

RECENT_S = 5.0
"""As many as were taken within this time are kept at hand, beyond the fixed number."""


class WarmTargets:
    """`each`: instances of a kind; `most`: of all kinds together."""

    def __init__(self, each: int, most: int) -> None:
        self._each = each
        self._most = most
        self._kinds: list[Kind] = []
        self._taken: deque[tuple[float, Kind]] = deque()

    def know(self, kinds: Mapping[Kind, int]) -> None:
        """How many live versions are of each kind; those of most come first where not all can be kept."""
        self._kinds = [kind for kind, _ in sorted(kinds.items(), key=lambda item: -item[1])]

    def taken(self, kind: Kind, now: float) -> None:
        """A cold start: whether a warm instance was there for it or not."""
        self._taken.append((now, kind))

    def targets(self, now: float) -> dict[Kind, int]:
        """By kind. Together at most `most`; each known kind gets one before any gets two."""
        while self._taken and self._taken[0][0] < now - RECENT_S:
            self._taken.popleft()
        if not self._each:
            return {}
        recent = Counter(kind for _, kind in self._taken if kind in self._kinds)
        wanted = {kind: self._each + recent[kind] for kind in self._kinds}
        return _deal(wanted, self._most)

    def lacking(self, stock: Mapping[Kind, int], now: float) -> list[Kind]:
        """What to start next, the scarcest kind first; `stock` counts those on their way too."""
        missing: list[Kind] = []
        for kind, target in self.targets(now).items():
            missing += [kind] * (target - stock.get(kind, 0))
        return sorted(missing, key=lambda kind: stock.get(kind, 0))

    def surplus(self, stock: Mapping[Kind, int], now: float) -> dict[Kind, int]:
        """How many of a kind are too many."""
        targets = self.targets(now)
        return {kind: over for kind, count in stock.items() if (over := count - targets.get(kind, 0)) > 0}


def _deal(wanted: Mapping[Kind, int], most: int) -> dict[Kind, int]:
    """Round by round, one to each that wants more."""
    dealt: Counter[Kind] = Counter()
    while most > 0:
        hungry = [kind for kind, count in wanted.items() if dealt[kind] < count][:most]
        if not hungry:
            break
        dealt.update(hungry)
        most -= len(hungry)
    return dict(dealt)
