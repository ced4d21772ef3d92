"""Constant arrivals and what became of them. Decides only: no I/O, time passed in.

A call's latency counts from the moment it was meant to start, however late it was sent: a stall delays every
call behind it, and all of them show it (no coordinated omission).
"""

import math
from array import array
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

LAG_ALLOWED_MS = 1.0
LAG_ALLOWED_SHARE = 0.1


class Order(Struct, frozen=True):
    """What one run is to do."""

    host: str
    port: int
    target: str
    rate: float
    """Calls a second."""
    seconds: float
    connections: int
    request_bytes: int
    grace_s: float = 2.0
    """How long answers are waited for after the last call's time."""
    settle_s: float = 0.0
    """Latencies count from here on: what the start of the load alone does is another question."""
    own_ids: bool = False
    """Each call has an X-Request-Id that no other has: its head is new to whoever remembers heads."""
    targets: tuple[str, ...] = ()
    """Instead of `target`: each call's own, in turn, and then from the first again."""


class Outcome(Struct, frozen=True):
    """What one run saw. Percentiles are `{"p50", "p90", "p95", "p99", "p99.9", "max"}`, in milliseconds."""

    planned: int
    statuses: dict[str, int]
    unanswered: int
    """Calls without an answer when the grace was over; `latency_ms` has the time they waited."""
    failed: int
    """Calls whose connection broke, or whose answer could not be read."""
    in_time: int
    """Calls answered 2xx before the last call's time: the goodput, without what was answered afterwards."""
    latency_ms: dict[str, float]
    """Of calls answered 2xx, and of the unanswered."""
    refusal_ms: dict[str, float]
    """Of calls answered 429 or 503."""
    retry_after: int
    """How many of the refusals carried Retry-After."""
    lag_ms: dict[str, float]
    """How late the generator itself came to each call's time."""
    kept: bool
    """False: the generator could not keep its schedule, and the latencies are partly its own."""


class Schedule:
    """When each call is meant to start."""

    def __init__(self, rate: float, seconds: float, start: float) -> None:
        self._rate = rate
        self._start = start
        self.count = max(1, round(rate * seconds))

    def intended(self, number: int) -> float:
        return self._start + number / self._rate

    def due(self, now: float) -> int:
        """How many calls should have started by now."""
        return min(self.count, max(0, math.floor((now - self._start) * self._rate + 1e-6) + 1))


class Recorder:
    """Collects what happens to each call. `end`: the last call's time; latencies count from `begin` on."""

    def __init__(self, end: float = math.inf, begin: float = -math.inf) -> None:
        self._end = end
        self._begin = begin
        self._in_time = 0
        self._latencies = array("d")
        self._refusals = array("d")
        self._lags = array("d")
        self._statuses: Counter[int] = Counter()
        self._retry_after = 0
        self._unanswered = 0
        self.failed = 0
        self.done = 0

    def fired(self, intended: float, now: float) -> None:
        self._lags.append(now - intended)

    def answered(self, status: int, retry_after: bool, intended: float, now: float) -> None:
        self.done += 1
        self._statuses[status] += 1
        if 200 <= status < 300:
            if intended >= self._begin:
                self._latencies.append(now - intended)
            self._in_time += now <= self._end
        elif status in (429, 503):
            self._refusals.append(now - intended)
            self._retry_after += retry_after

    def broke(self) -> None:
        self.done += 1
        self.failed += 1

    def gave_up(self, intended: float, now: float) -> None:
        self._unanswered += 1
        self._latencies.append(now - intended)

    def outcome(self, planned: int) -> Outcome:
        latency, lag = percentiles_ms(self._latencies), percentiles_ms(self._lags)
        return Outcome(
            planned=planned,
            statuses={str(status): count for status, count in sorted(self._statuses.items())},
            unanswered=self._unanswered,
            failed=self.failed,
            in_time=self._in_time,
            latency_ms=latency,
            refusal_ms=percentiles_ms(self._refusals),
            retry_after=self._retry_after,
            lag_ms=lag,
            kept=len(self._lags) == planned and is_kept(lag, latency),
        )


def is_kept(lag_ms: dict[str, float], latency_ms: dict[str, float]) -> bool:
    """Whether the generator's own lateness is small in itself, or beside what it measured."""
    allowed = max(LAG_ALLOWED_MS, LAG_ALLOWED_SHARE * latency_ms.get("p99", 0.0))
    return lag_ms.get("p99", math.inf) <= allowed


def percentiles_ms(seconds: "array[float]") -> dict[str, float]:
    """Empty if there are no samples."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    ranks = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    return {name: percentile(ordered, rank) * 1000 for name, rank in ranks.items()}


def percentile(ordered: Sequence[float], rank: float) -> float:
    """Nearest rank, of at least one value."""
    return ordered[math.ceil(rank * len(ordered)) - 1]
