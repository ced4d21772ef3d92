"""What one demand costs the pool: `decide` and all that is done at once because of it; 300 instances."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.cold_plan import MEMORY_MB
from bench.figures import Result
from bench.schedule import percentile
from plat.artifacts import FolderArtifacts
from plat.errors import PlatError
from plat.feed import Demand, FunctionEntry, Hello, VersionEntry
from plat.model import VersionSpec
from pool.code import CodeCache
from pool.dispatch import Dispatcher
from pool.drivers.base import Listener, Placed, Running, StartOrder, WarmOrder
from pool.fleet import Fleet
from pool.launcher import Launcher
from pool.ledger import Ledger
from pool.logbook import LogBook
from pool.metrics import PoolMetrics
from pool.table import FunctionTable
from pool.warm import WarmStock
from pool.warm_targets import WarmTargets

HOW = """
In one process, without sockets: the pool's own parts around a driver that refuses to start anything, 300
ready instances of 300 functions, and one router that demands a slot of a function that has none. Timed is
the CPU of all that the pool does before it waits for anything: noting the demand, deciding, choosing what
to start, telling the router. Beside it a tick, four times a second, which looks at those of which something
happened or is due: here at none; and a look at all 300, in turns of 1 ms; with half of the memory free, and
with none.
"""
INSTANCES = 300
TIMES = 300
TICKS = 20
ROUTER = "router"
DEMAND, TICK = "one demand", "one tick"
LOOK, FULL_LOOK = "a look at all", "a look at all, no memory free"
CASE = f"{INSTANCES} instances"
DIGEST = "0" * 64


class IdleDriver:
    """See `pool.drivers.base.Driver`. Nothing can be started; what is paused resumes at once."""

    name = "idle"

    async def open(self, listener: Listener) -> None:
        """There is nothing to watch."""

    async def close(self) -> None:
        """Nothing was opened."""

    async def start(self, order: StartOrder) -> Running:
        raise PlatError("instance_start_failed", "Nothing starts here.")

    async def warm(self, order: WarmOrder) -> Running:
        raise PlatError("instance_start_failed", "Nothing starts here.")

    async def place(self, order: StartOrder) -> Placed:
        raise PlatError("instance_start_failed", "Nothing is placed here.")

    async def pause(self, instance: str) -> None:
        """At once."""

    async def resume(self, instance: str) -> None:
        """At once."""

    async def cpu_s(self, instance: str) -> float:
        return 0.0

    async def stop(self, instance: str, grace_s: float) -> None:
        """At once."""

    async def list(self) -> list[Running]:
        return []


class Bench:
    """A pool's deciding parts, on a machine for so many instances. `folder` is for code that nobody reads."""

    def __init__(self, folder: Path, places: int) -> None:
        (folder / DIGEST).mkdir(parents=True, exist_ok=True)
        driver, ledger, metrics = IdleDriver(), Ledger(), PoolMetrics()
        code = CodeCache(FolderArtifacts(folder / "artifacts"), folder)
        launcher = Launcher(driver, code, LogBook(folder / "logs"))
        stock = WarmStock(driver, WarmTargets(0, 0), 30.0)
        self.fleet = Fleet(driver, launcher, stock, ledger, metrics, 30.0)
        self.table = FunctionTable()
        self.dispatcher = Dispatcher(
            self.table,
            self.fleet,
            ledger,
            send=lambda router, message: None,
            send_table=lambda router, messages: None,
            routers=lambda: [ROUTER],
            expected_routers=1,
            memory_mb=places * MEMORY_MB,
        )

    async def open(self) -> None:
        """Twice as many functions as instances: the first half has one each."""
        entries = [_function(number) for number in range(2 * INSTANCES)]
        for entry in entries:
            self.table.put(entry)
        self.table.end()
        self.dispatcher.received(ROUTER, Hello(ROUTER, []))
        for entry in entries[:INSTANCES]:
            version = entry.versions[0]
            running = Running(f"i-{entry.name}", version.id, entry.name, 1, "unix:/none", datetime.now(UTC))
            self.fleet.adopt(msgspec.structs.replace(running, paused=True), version)  # without being asked
        for member in self.fleet.members():
            self.fleet.resume(member)
        await _settle()

    def demand(self, number: int) -> float:
        """Seconds of CPU for the demand of a function without an instance."""
        demand = Demand(_version_id(INSTANCES + number), 1, 0, 0)
        began = time.thread_time()
        self.dispatcher.received(ROUTER, demand)
        return time.thread_time() - began

    def tick(self) -> float:
        began = time.thread_time()
        for _ in self.dispatcher.tick():
            continue
        return time.thread_time() - began

    def look(self) -> float:
        began = time.thread_time()
        self.dispatcher.sweep()
        return time.thread_time() - began


def ask(folder: Path) -> Result:
    result = Result("decision", HOW, not_measured=["more than one router"])
    for name, seconds in asyncio.run(_measure(folder)).items():
        ordered = sorted(each * 1000 for each in seconds)
        row = result.row(CASE, name)
        row.add(cpu_ms=percentile(ordered, 0.5), p99_ms=percentile(ordered, 0.99), count=len(ordered))
    return result


async def _measure(folder: Path) -> dict[str, list[float]]:
    full = Bench(folder / "full", INSTANCES)
    await full.open()
    bench = Bench(folder / "half", 2 * INSTANCES)
    await bench.open()
    demands = []
    for number in range(TIMES):
        demands.append(bench.demand(number % INSTANCES))
        await _settle()  # the start has failed, and is forgotten
    return {
        DEMAND: demands,
        TICK: [bench.tick() for _ in range(TICKS)],
        LOOK: [bench.look() for _ in range(TICKS)],
        FULL_LOOK: [full.look() for _ in range(TICKS)],
    }


async def _settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


def _function(number: int) -> FunctionEntry:
    name = f"f{number}"
    spec = VersionSpec("python", "main.handler", "body", 1, 30.0, MEMORY_MB, 1.0, {})
    version = VersionEntry(_version_id(number), name, 1, DIGEST, spec)
    return FunctionEntry(name, 1, False, "public", 0, 3, 3600.0, None, None, (version,))


def _version_id(number: int) -> str:
    return f"v{number}"
