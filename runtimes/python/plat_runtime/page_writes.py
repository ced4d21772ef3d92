"""The handler of a load that is watched: which pages of memory this process has written to since its fork.

A function's code as any other: it imports nothing of the runtime.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from typing import Any

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_ENTRY_BYTES = 8
_PRESENT_AND_ITS_OWN = 1 << 63 | 1 << 56
"""Bits of /proc/PID/pagemap: in memory, and mapped by this process alone (proc(5))."""


def handler(event: Any, context: Any) -> list[tuple[int, int]]:
    """Start and length of each run of such pages, in bytes."""
    return list(written())


def written() -> Iterator[tuple[int, int]]:
    """In private memory that may be written to."""
    with open("/proc/self/maps") as maps, open("/proc/self/pagemap", "rb") as pagemap:  # noqa: PTH123
        for line in maps.readlines():
            where, mode, *_ = line.split()
            if mode != "rw-p":
                continue
            start, end = (int(each, 16) for each in where.split("-"))
            pagemap.seek(start // PAGE_BYTES * _ENTRY_BYTES)
            entries = array("Q", pagemap.read((end - start) // PAGE_BYTES * _ENTRY_BYTES))
            yield from _runs(start, entries)


def _runs(start: int, entries: array[int]) -> Iterator[tuple[int, int]]:
    first = None
    for number, entry in enumerate([*entries, 0]):
        is_own = entry & _PRESENT_AND_ITS_OWN == _PRESENT_AND_ITS_OWN
        if is_own and first is None:
            first = number
        elif not is_own and first is not None:
            yield start + first * PAGE_BYTES, (number - first) * PAGE_BYTES
            first = None
