"""A pool's deciding parts around a driver in memory, with a clock that a test turns."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import pytest

from plat.artifacts import FolderArtifacts
from plat.feed import Demand, FromRouter, FunctionEntry, Grant, Held, Hello, ToRouter, VersionEntry
from plat.model import VersionSpec
from pool.code import CodeCache
from pool.dispatch import Dispatcher
from pool.drivers.base import Listener
from pool.fleet import Fleet
from pool.launcher import Launcher
from pool.ledger import Ledger
from pool.lifecycle import State
from pool.listing import Listing
from pool.logbook import LogBook
from pool.metrics import PoolMetrics
from pool.table import FunctionTable
from pool.warm import WarmStock
from pool.warm_targets import WarmTargets
from tests.unit.pool.memory_driver import MemoryDriver

DIGEST = "0" * 64
V = "f-1"
"""The first version of `function()`."""

PATIENCE_S = 20.0

T = TypeVar("T")


class Clock:
    """In the place of the module `time` where the pool reads it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def install(self, patch: pytest.MonkeyPatch) -> None:
        clock = SimpleNamespace(monotonic=self.monotonic, time=time.time)
        for module in (
            "adoption",
            "dispatch",
            "fleet",
            "scaler",
            "granting",
            "pauses",
            "promises",
            "recovery",
            "rounds",
            "warm",
        ):
            patch.setattr(f"pool.{module}.time", clock)


def function(
    name: str = "f",
    *,
    number: int = 1,
    concurrency: int = 1,
    minimum: int = 0,
    maximum: int = 3,
    idle_s: float = 60.0,
    stopped: bool = False,
    timeout_s: float = 30.0,
    pause_after_s: float | None = None,
) -> FunctionEntry:
    spec = VersionSpec("python", "main.handler", "body", concurrency, timeout_s, 128, 1.0, {})
    numbers = range(1, number + 1)
    versions = tuple(VersionEntry(f"{name}-{each}", name, each, DIGEST, spec) for each in numbers)
    return FunctionEntry(
        name, number, stopped, "public", minimum, maximum, idle_s, None, None, versions, pause_after_s
    )


async def settle() -> None:
    """Until every task has done what it can do now."""
    for _ in range(30):
        await asyncio.sleep(0)


async def eventually(holds: Callable[[], object]) -> None:
    """For what waits some milliseconds of real time."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.001)


class Rig:
    """One life of a pool: `sent` has what it told each router."""

    def __init__(
        self, folder: Path, driver: MemoryDriver, routers: int = 1, *, warm: int = 0, memory_mb: int = 0
    ) -> None:
        (folder / DIGEST).mkdir(exist_ok=True)
        self.driver = driver
        self._listed = False
        self.table = FunctionTable()
        self.ledger = Ledger()
        self.sent: dict[str, list[ToRouter]] = {}
        self._grants: Counter[str] = Counter()
        artifacts = FolderArtifacts(folder / "artifacts")
        self.launcher = Launcher(driver, CodeCache(artifacts, folder), LogBook(folder / "logs"))
        self.stock = WarmStock(driver, WarmTargets(warm, 16), 30.0)
        self.fleet = Fleet(driver, self.launcher, self.stock, self.ledger, PoolMetrics(), 30.0)
        self.dispatcher = Dispatcher(
            self.table,
            self.fleet,
            self.ledger,
            send=self._send,
            send_table=self._send_table,
            routers=lambda: list(self.sent),
            expected_routers=routers,
            memory_mb=memory_mb,
        )
        changed = self.dispatcher.routes_changed
        self._listing = Listing(driver, self.table, self.fleet, self.stock, changed)

    async def open(self, patch: pytest.MonkeyPatch) -> None:
        for module in ("pool.launcher", "pool.warm"):
            patch.setattr(f"{module}.wait_ready", self.driver.wait_ready)
        for module in ("pool.adoption", "pool.fleet", "pool.warm"):
            patch.setattr(f"{module}.probe", self.driver.probe)
        patch.setattr("pool.launcher.load", self.driver.load)
        await self.driver.open(
            Listener(
                exited=self.fleet.exited,
                changed=lambda: None,
                wrote=lambda _: None,
                last_written=lambda _: None,
            )
        )

    def load(self, *functions: FunctionEntry) -> None:
        """Control says its table."""
        self.table.begin()
        for each in functions:
            self.table.put(each)
        for names in list(self.table.unheard()):
            for name in names:
                self.table.drop(name)
        self.table.end()
        self.dispatcher.table_replaced()

    async def list_machine(self) -> None:
        await self._listing.look()
        await settle()
        self._listed = True

    def tick(self) -> None:
        """As the service does it, a few times a second."""
        for _ in self.dispatcher.tick():
            continue
        if self._listed:
            self.dispatcher.machine_listed()

    def refill(self, now: float) -> None:
        """As the service does it, with every tick."""
        if self._listed:
            self.stock.targets.know(self.table.kinds)
            self.stock.refill(now, self.dispatcher.scaler.room.free_mb())

    def hear(self, router: str, message: FromRouter) -> None:
        if isinstance(message, Hello):
            self._grants[router] = 0
        self.dispatcher.received(router, message)

    def seen(self, router: str) -> int:
        """Grants that the router has received: all that were sent."""
        return self._grants[router]

    def _send_table(self, router: str, messages: Iterator[ToRouter]) -> None:
        for message in messages:
            self._send(router, message)

    def _send(self, router: str, message: ToRouter) -> None:
        if router in self.sent:
            self.sent[router].append(message)
            self._grants[router] += isinstance(message, Grant)


# --- what tests of the dispatcher say


def connect(rig: Rig, router: str, *held: Held) -> None:
    rig.sent[router] = []
    rig.hear(router, Hello(router, list(held)))


def told(rig: Rig, kind: type[T], router: str = "r1") -> list[T]:
    return [each for each in rig.sent[router] if isinstance(each, kind)]


async def granted(rig: Rig, router: str = "r1", queued: int = 1) -> list[Grant]:
    """The router asks, and is granted."""
    rig.sent[router].clear()
    rig.hear(router, Demand(V, queued, 0, rig.seen(router)))
    await settle()
    return told(rig, Grant, router)


def states(rig: Rig) -> list[State]:
    return sorted(member.state for member in rig.fleet.members())
