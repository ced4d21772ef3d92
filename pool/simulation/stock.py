"""The warm instances as the simulator has them: what `pool.warm` is to the pool. Counts only."""

from collections import Counter

from pool.drivers.base import Kind
from pool.simulation.functions import SimulatedFunction
from pool.simulation.policy import Policy
from pool.warm_targets import WarmTargets

AT_ONCE = 2
"""Made at the same time, as in `pool.warm`."""


class SimulatedStock:
    """The warm instances, and those being made; others have the times and the memory."""

    def __init__(self, functions: list[SimulatedFunction], policy: Policy) -> None:
        self._targets = WarmTargets(policy.warm, policy.warm_most)
        self._targets.know(Counter(each.warm_kind for each in functions))
        self._ready: Counter[Kind] = Counter()
        self._making: Counter[Kind] = Counter()

    def __len__(self) -> int:
        """The ready ones."""
        return self._ready.total()

    def take(self, kind: Kind, now: float) -> bool:
        """For a cold start; False if there is none."""
        self._targets.taken(kind, now)
        if not self._ready[kind]:
            return False
        self._ready[kind] -= 1
        return True

    def drop(self) -> Kind | None:
        """One less of the kind that most are ready of."""
        kind = max(self._ready, key=self._ready.__getitem__, default=None)
        if kind is None or not self._ready[kind]:
            return None
        self._ready[kind] -= 1
        return kind

    def surplus(self, now: float) -> list[Kind]:
        """What is too much; it is none of the stock any more."""
        counts = self._ready + self._making
        over = []
        for kind, count in self._targets.surplus(counts, now).items():
            going = min(count, self._ready[kind])
            self._ready[kind] -= going
            over += [kind] * going
        return over

    def lacking(self, now: float) -> list[Kind]:
        """What to make now, as far as there are hands for it."""
        missing = self._targets.lacking(self._ready + self._making, now)
        return missing[: max(0, AT_ONCE - self._making.total())]

    def make(self, kind: Kind) -> None:
        self._making[kind] += 1

    def made(self, kind: Kind) -> None:
        self._making[kind] -= 1
        self._ready[kind] += 1
