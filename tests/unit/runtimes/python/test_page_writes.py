"""Which pages of memory a process has to itself."""

import ctypes
import json
import mmap
import os
from itertools import pairwise

import pytest

from runtimes.python.plat_runtime import page_writes
from runtimes.python.plat_runtime.page_writes import PAGE_BYTES

PAGES = 8


@pytest.fixture
def memory() -> mmap.mmap:
    """Private, and every page of it written to: a child shares them."""
    memory = mmap.mmap(-1, PAGES * PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.write(b"x" * len(memory))
    return memory


def written_in_a_child(memory: mmap.mmap, pages: list[int]) -> list[int]:
    """Those of `memory` that `page_writes` names in a child that has written to `pages`."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        for page in pages:
            memory[page * PAGE_BYTES] = 0
        os.write(writing, json.dumps(page_writes.handler(None, None)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as end:
        runs = json.load(end)
    assert os.waitpid(pid, 0)[1] == 0
    begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    addresses = [each for start, length in runs for each in range(start, start + length, PAGE_BYTES)]
    return [(each - begin) // PAGE_BYTES for each in addresses if begin <= each < begin + len(memory)]


@pytest.mark.parametrize("pages", [[], [0], [2, 3, 5], [7], list(range(PAGES))])
def test_those_that_a_child_has_written_to(memory: mmap.mmap, pages: list[int]) -> None:
    assert written_in_a_child(memory, pages) == pages


def test_runs_are_of_whole_pages_and_in_order() -> None:
    runs = page_writes.handler(None, None)
    assert runs
    assert all(start % PAGE_BYTES == length % PAGE_BYTES == 0 < length for start, length in runs)
    assert all(start + length <= after for (start, length), (after, _) in pairwise(runs))
