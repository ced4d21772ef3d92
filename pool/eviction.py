"""Which idle instances go first when memory is short. Decides only; knows no driver and no clock.

Greedy-dual is FaasCache's policy (Fuerst and Sharma, ASPLOS 2021), after Cherkasova's GDSF: what is called
often, starts slowly and is small stays. `docs/decisions/0008-eviction.md` has the figures.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from math import exp, inf, log
from typing import Literal, Protocol

from msgspec import Struct

EvictionPolicy = Literal["greedy-dual", "lru"]

KNOWN_FUNCTIONS = 20_000
"""Functions whose worth is remembered, about 150 bytes each; the longest unused are forgotten."""

HALF_LIFE_S = 3600.0
"""A use counts half after this: who was called often yesterday must not stay for ever."""

FIRST_COST_S = 0.25
"""What a start is taken to cost before one was measured: a container's create and start."""

RECENT_S = 5.0
"""What was used so shortly ago goes last, whatever it is worth: the routers hold the slots of busy functions,
and their calls are not seen here."""

COST_SHARE = 0.3
"""The last start's part in the mean cost of a function's starts."""

CLOCK_HISTORY = 1024
"""Changes of the clock that are remembered; an instance idle since before them has the oldest."""


class Candidate(Struct, frozen=True, gc=False):
    """An instance that may go: no call is in it."""

    instance: str
    function: str
    memory_mb: int
    last_used: float
    """Monotonic."""
    paused: bool


class Evictor(Protocol):
    """A policy. It is told of uses and starts, and asked when memory is short."""

    def used(self, function: str, now: float) -> None:
        """A call of the function, or a grant for one."""

    def started(self, function: str, seconds: float) -> None:
        """What one of the function's starts took."""

    def choose(self, idle: Iterable[Candidate], needed_mb: int) -> list[str]:
        """The instances to stop: none of them could stay. Empty if all together are not enough."""


class LeastRecentlyUsed:
    """The longest idle goes first."""

    def used(self, function: str, now: float) -> None:
        """The candidates' own times say it."""

    def started(self, function: str, seconds: float) -> None:
        """All functions are alike."""

    def choose(self, idle: Iterable[Candidate], needed_mb: int) -> list[str]:
        ranked = [(each.last_used, each) for each in idle]
        return [each.instance for _, each in _cheapest(ranked, needed_mb)]


class _Worth:
    """What is known of one function: uses (old ones count less) and the cost of a start."""

    __slots__ = ("at", "cost_s", "uses")

    def __init__(self) -> None:
        self.uses = 0.0
        self.at = float("-inf")
        self.cost_s: float | None = None

    def uses_at(self, now: float) -> float:
        return self.uses * exp((min(self.at, now) - now) * log(2) / HALF_LIFE_S)


class GreedyDual:
    """The least worth goes first: clock at its last use + uses * cost of a start / memory.

    The clock is the worth of the last one that went: so what is not used any more is overtaken.
    """

    def __init__(self) -> None:
        self._functions: dict[str, _Worth] = {}
        """The last used at the end."""
        self._now = float("-inf")
        self._clock = 0.0
        self._changed = deque([float("-inf")], maxlen=CLOCK_HISTORY)
        self._clocks = deque([self._clock], maxlen=CLOCK_HISTORY)
        """What the clock was from each of `_changed` on."""

    def used(self, function: str, now: float) -> None:
        worth = self._worth(function)
        worth.uses = worth.uses_at(now) + 1
        worth.at = self._now = max(self._now, now)

    def started(self, function: str, seconds: float) -> None:
        worth = self._worth(function)
        before = seconds if worth.cost_s is None else worth.cost_s
        worth.cost_s = before + COST_SHARE * (seconds - before)

    def choose(self, idle: Iterable[Candidate], needed_mb: int) -> list[str]:
        ranked = [(self._value(each), each) for each in idle]
        chosen = _cheapest(ranked, needed_mb)
        if chosen:
            self._advance(max((value for value, _ in chosen if value < inf), default=self._clock))
        return [each.instance for _, each in chosen]

    def _value(self, candidate: Candidate) -> float:
        if self._now - candidate.last_used < RECENT_S:
            return inf
        value = self._clock_at(candidate.last_used)
        if worth := self._functions.get(candidate.function):
            cost_s = FIRST_COST_S if worth.cost_s is None else worth.cost_s
            value += worth.uses_at(self._now) * cost_s / candidate.memory_mb
        return value

    def _clock_at(self, then: float) -> float:
        place = bisect_right(self._changed, then)
        return self._clocks[max(0, place - 1)]

    def _advance(self, clock: float) -> None:
        if clock > self._clock:
            self._clock = clock
            self._changed.append(self._now)
            self._clocks.append(clock)

    def _worth(self, function: str) -> _Worth:
        worth = self._functions.pop(function, None)
        if worth is None:
            worth = _Worth()
            while len(self._functions) >= KNOWN_FUNCTIONS:
                del self._functions[next(iter(self._functions))]
        self._functions[function] = worth
        return worth


EVICTORS: dict[EvictionPolicy, Callable[[], Evictor]] = {"greedy-dual": GreedyDual, "lru": LeastRecentlyUsed}


def _cheapest(ranked: list[tuple[float, Candidate]], needed_mb: int) -> list[tuple[float, Candidate]]:
    """From the least value on until it is enough; then those that were not needed for it stay after all."""
    ranked.sort(key=_order)
    chosen: list[tuple[float, Candidate]] = []
    freed = 0
    for each in ranked:
        if freed >= needed_mb:
            break
        chosen.append(each)
        freed += each[1].memory_mb
    if freed < needed_mb:
        return []
    return _without_surplus(chosen, freed - needed_mb)


def _order(ranked: tuple[float, Candidate]) -> tuple[float, bool, float]:
    """Of equal value: the paused one, then the longest idle."""
    value, candidate = ranked
    return value, not candidate.paused, candidate.last_used


def _without_surplus(chosen: list[tuple[float, Candidate]], surplus_mb: int) -> list[tuple[float, Candidate]]:
    """The most valuable is spared first."""
    kept = []
    for each in reversed(chosen):
        if each[1].memory_mb <= surplus_mb:
            surplus_mb -= each[1].memory_mb
        else:
            kept.append(each)
    return kept[::-1]
