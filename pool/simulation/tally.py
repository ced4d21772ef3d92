"""What a simulation counts: how calls were served, how long they waited, what the instances cost."""

from array import array
from collections.abc import Sequence
from math import ceil
from typing import Literal, get_args

from msgspec import Struct

Served = Literal["hot", "queued", "paused", "warm", "cold"]
"""By a free slot; by one that another call freed; by an instance that was resumed, loaded or started."""


class Wait(Struct, frozen=True):
    """Milliseconds from a call's arrival until an instance had it."""

    mean: float
    p50: float
    p99: float
    max: float


class Moment(Struct, frozen=True):
    """The instances at one time."""

    at_s: float
    starting: int
    """Or being resumed."""
    busy: int
    idle: int
    paused: int
    warm: int
    memory_mb: int
    queued: int
    """Calls."""

    @property
    def instances(self) -> int:
        """Those of a function, as the API lists them."""
        return self.starting + self.busy + self.idle + self.paused


class Report(Struct, frozen=True, kw_only=True):
    """What came of a trace under a policy."""

    calls: int
    functions: int
    span_s: float
    """Until the last call's end."""
    served: dict[Served, int]
    wait_ms: Wait
    cold_starts: int
    """Those made ahead included."""
    warm_starts: int
    resumes: int
    made_ahead: int
    evictions: int
    instances_at_most: int
    instance_seconds: float
    """Paused and starting ones included."""
    paused_seconds: float
    busy_seconds: float
    """In calls; two at a time in one instance count twice."""
    memory_mb_seconds: float
    """Warm instances included."""
    timeline: list[Moment]


class Tally:
    """Counts while a simulation runs."""

    def __init__(self) -> None:
        self.served: dict[Served, int] = dict.fromkeys(get_args(Served), 0)
        self.waits = array("d")
        self.cold_starts = 0
        self.warm_starts = 0
        self.resumes = 0
        self.made_ahead = 0
        self.evictions = 0
        self.alive = 0
        self.alive_at_most = 0
        self.instance_seconds = 0.0
        self.paused_seconds = 0.0
        self.busy_seconds = 0.0
        self.timeline: list[Moment] = []

    def begun(self, kind: Served, wait_s: float) -> None:
        self.served[kind] += 1
        self.waits.append(wait_s)

    def started(self, kind: Served, ahead: bool) -> None:
        """One more instance. `ahead`: no call waits for it."""
        if kind == "warm":
            self.warm_starts += 1
        else:
            self.cold_starts += 1
        self.made_ahead += ahead
        self.alive += 1
        self.alive_at_most = max(self.alive_at_most, self.alive)

    def went(self, seconds: float) -> None:
        """One less, after so many seconds."""
        self.alive -= 1
        self.instance_seconds += seconds

    def report(self, functions: int, span_s: float, memory_mb_seconds: float) -> Report:
        return Report(
            calls=len(self.waits),
            functions=functions,
            span_s=span_s,
            served=self.served,
            wait_ms=wait_of(self.waits),
            cold_starts=self.cold_starts,
            warm_starts=self.warm_starts,
            resumes=self.resumes,
            made_ahead=self.made_ahead,
            evictions=self.evictions,
            instances_at_most=self.alive_at_most,
            instance_seconds=self.instance_seconds,
            paused_seconds=self.paused_seconds,
            busy_seconds=self.busy_seconds,
            memory_mb_seconds=memory_mb_seconds,
            timeline=self.timeline,
        )


def wait_of(seconds: Sequence[float]) -> Wait:
    """Percentiles by nearest rank; all 0 without a call."""
    if not seconds:
        return Wait(0, 0, 0, 0)
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return ordered[ceil(share * len(ordered)) - 1] * 1000

    return Wait(sum(ordered) / len(ordered) * 1000, at(0.5), at(0.99), at(1))
