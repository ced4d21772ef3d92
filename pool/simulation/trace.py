"""Recorded calls: which function, when, for how long. Types; `traces` reads them from files."""

from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec import Struct


class Profile(Struct):
    """A function of a trace; None where the trace does not say."""

    name: str
    memory_mb: int | None = None
    cold_s: float | None = None
    """What a start takes, from nothing until it can take a call."""


class Call(NamedTuple):
    arrival_s: float
    function: int
    """The place in `Trace.functions`."""
    duration_s: float


class Trace:
    """Calls in the order of their arrival, which begins at 0."""

    def __init__(self, functions: list[Profile], calls: Iterable[Call]) -> None:
        arrivals, numbers, durations = array("d"), array("L"), array("d")
        for arrival_s, number, duration_s in calls:
            arrivals.append(arrival_s)
            numbers.append(number)
            durations.append(duration_s)
        order = sorted(range(len(arrivals)), key=arrivals.__getitem__)
        begin = arrivals[order[0]] if order else 0.0
        self.functions = functions
        self._arrivals = array("d", (arrivals[place] - begin for place in order))
        self._numbers = array("L", map(numbers.__getitem__, order))
        self._durations = array("d", map(durations.__getitem__, order))

    def __len__(self) -> int:
        return len(self._arrivals)

    def __iter__(self) -> Iterator[Call]:
        return map(Call, self._arrivals, self._numbers, self._durations)

    @property
    def span_s(self) -> float:
        """To the last arrival."""
        return self._arrivals[-1] if self._arrivals else 0.0
