"""Waiting in tests: for a condition, with a deadline, never for a length of time."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

DEADLINE_S = 30.0
POLL_S = 0.02


async def until(condition: Callable[[], object], what: str) -> None:
    """Raises AssertionError saying what did not come."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        await asyncio.sleep(POLL_S)


async def until_true(condition: Callable[[], Awaitable[object]], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not await condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        await asyncio.sleep(POLL_S)


def is_alive(pid: int) -> bool:
    """False also for a zombie: it has ended, and only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes_with(environment: str) -> list[int]:
    """Processes, besides this one, that have this text in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            content = path.read_bytes()
        except OSError:  # gone, or not ours
            continue
        if environment.encode() in content and int(path.parent.name) != os.getpid():
            found.append(int(path.parent.name))
    return [pid for pid in found if is_alive(pid)]
