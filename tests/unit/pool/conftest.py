"""A pool around a driver in memory, for tests of what it decides."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import Clock, Rig, connect, function, settle


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    clock.install(monkeypatch)
    return clock


@pytest.fixture
async def rig(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """A pool that knows `f` (one call at a time, at most three instances); router r1 is here."""
    rig = Rig(tmp_path, MemoryDriver())
    await rig.open(monkeypatch)
    rig.load(function())
    connect(rig, "r1")
    yield rig
    await settle()
