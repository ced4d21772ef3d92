"""A rehearsal is a whole call, and nothing of it stays."""

import os
import sys
from pathlib import Path

import pytest

from runtimes.python.plat_runtime import rehearsal


def state() -> tuple[list[str], set[str], dict[str, str], int]:
    files = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return list(sys.path), set(sys.modules), dict(os.environ), files


def test_a_refresh_leaves_nothing() -> None:
    before = state()
    asked = 0

    def is_over() -> bool:
        nonlocal asked
        asked += 1
        return False

    rehearsal.refresh(is_over)
    assert asked > 1
    assert state() == before


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_refresh_ends_with_the_step_in_which_the_order_comes(
    after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    steps = tuple(lambda each=each: done.append(each) for each in range(3))
    monkeypatch.setattr(rehearsal, "_STEPS", steps)
    rehearsal.refresh(lambda: len(done) == after)
    assert done == list(range(after))


def test_it_goes_all_the_way_and_leaves_nothing() -> None:
    before = state()
    head, _, body = rehearsal.rehearse().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b'{"event":{"a":[1.5]},"name":"    1","late":true}'
    assert state() == before
