"""A long table told in parts: cut so that none takes a reader long, and what is left over at its end.

Decides only. Whoever tells or hears a table gives the event loop a turn after each part.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

PART_BYTES = 24_576
"""About what a part weighs on the wire. Reading one stops the reader for some tenths of a millisecond."""

PACE_S = 0.001
"""Between two parts. As fast as possible, 100,000 routes keep two processors busy for 0.1 s, and calls wait
for a processor; so, they take 0.8 s, of which a router is busy for a fifth."""

SLICE = 500
"""Names looked at between two turns of the event loop."""

SHARDS = 64
"""Of a set or dict that must not stop everything when it grows."""


def in_parts(items: Iterable[T], weigh: Callable[[T], int]) -> Iterator[list[T]]:
    """In order; a part ends with the item that brings it to `PART_BYTES`.

    Reads no further than the part it gives: what comes after it may still change.
    """
    part: list[T] = []
    weight = 0
    for item in items:
        part.append(item)
        weight += weigh(item)
        if weight >= PART_BYTES:
            yield part
            part, weight = [], 0
    if part:
        yield part


class Heard:
    """A set of names that grows without a pause: one set of 100,000 takes 3 ms to make itself larger."""

    def __init__(self) -> None:
        self._shards: list[set[str]] = [set() for _ in range(SHARDS)]

    def add(self, name: str) -> None:
        self._shards[hash(name) % SHARDS].add(name)

    def __contains__(self, name: object) -> bool:
        return name in self._shards[hash(name) % SHARDS]


def unheard(known: Collection[str], heard: Heard) -> Iterator[list[str]]:
    """Those of `known` that are not in `heard`, after each slice of them.

    It must not change before the last. To copy 100,000 names first would take 3 ms.
    """
    names = iter(known)
    while some := list(islice(names, SLICE)):
        yield [name for name in some if name not in heard]
