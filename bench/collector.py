"""What the garbage collector of a process does: how often, and for how long all else stands still.

Counts are the collector's own (gc.get_stats), durations are taken around each collection (gc.callbacks).
"""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

Stats = Sequence[Mapping[str, int]]
"""What gc.get_stats() gives: since the process began, by generation, the youngest first."""


class Collected(Struct, frozen=True):
    """Between two readings."""

    collections: int
    full: int
    """Those that looked at all objects, and not only at the young."""
    garbage: int
    """Objects that were found to be in cycles that nobody refers to."""
    total_ms: float
    longest_ms: float


class Watch:
    """Is called before and after each collection, as an entry of gc.callbacks."""

    def __init__(self, stats: Stats, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._stats = stats
        self._began = 0.0
        self._total_s = 0.0
        self._longest_s = 0.0

    def __call__(self, phase: str, info: Mapping[str, int]) -> None:
        """`phase` is "start" or "stop"; collections do not overlap."""
        if phase == "start":
            self._began = self._clock()
            return
        took_s = self._clock() - self._began
        self._total_s += took_s
        self._longest_s = max(self._longest_s, took_s)

    def take(self, stats: Stats) -> Collected:
        """What came since the last time."""
        collections = [after["collections"] - before["collections"] for before, after in self._pairs(stats)]
        garbage = sum(after["collected"] - before["collected"] for before, after in self._pairs(stats))
        taken = Collected(
            sum(collections), collections[-1], garbage, self._total_s * 1000, self._longest_s * 1000
        )
        self._stats, self._total_s, self._longest_s = stats, 0.0, 0.0
        return taken

    def _pairs(self, stats: Stats) -> list[tuple[Mapping[str, int], Mapping[str, int]]]:
        return list(zip(self._stats, stats, strict=True))


READ, COLLECT = b"read", b"collect"
"""What the process that reports can be asked: what its collector did, or to collect all and then tell."""


def reported(path: Path, question: bytes) -> Collected:
    """Since the last question, from the process that reports at the unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(question)
        with client.makefile("rb") as answer:
            return msgspec.json.decode(answer.read(), type=Collected)
