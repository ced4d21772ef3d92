"""A rehearsal is a whole call, and nothing of it stays."""

import os
import sys
from pathlib import Path

from runtimes.python.plat_runtime import rehearsal


def state() -> tuple[list[str], set[str], dict[str, str], int]:
    files = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return list(sys.path), set(sys.modules), dict(os.environ), files


def test_it_goes_all_the_way_and_leaves_nothing() -> None:
    before = state()
    head, _, body = rehearsal.rehearse().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b'{"event":{"a":[1.5]},"name":"    1","late":true}'
    assert state() == before
