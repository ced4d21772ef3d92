"""Fork servers as tests see them: the one of a driver, and all that came of it."""

import asyncio
import time
from pathlib import Path

from pool.drivers import procfs
from pool.drivers.base import Driver
from pool.drivers.fork_process import ForkProcess
from pool.drivers.process import ProcessDriver
from tests.integration.pool.platform import PATIENCE_S


async def forked(driver: Driver) -> ForkProcess:
    """Waits for one: it may be a while until one that was killed before it was of use is started again."""
    assert isinstance(driver, ProcessDriver)
    deadline = time.monotonic() + PATIENCE_S
    while (process := await driver._starter.fork_server("python", PATIENCE_S)) is None:
        assert time.monotonic() < deadline, "no fork server"
        await asyncio.sleep(0.01)
    return process


def marked(path: str) -> list[int]:
    """Processes with this PATH: a fork server and all that came of it."""
    found = []
    for pid in procfs.pids():
        try:
            content = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if f"PATH={path}".encode() in content.split(b"\0") and lives(pid):
            found.append(pid)
    return found


def lives(pid: int) -> bool:
    stat = procfs.stat_of(pid)
    return stat is not None and stat.state not in "ZX"
