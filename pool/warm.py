"""The warm instances: started runtimes without a function, made in the background, taken by cold starts.

Knows no functions and no slots. An instance that was taken never comes back.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from plat.errors import PlatError
from plat.logs import get_logger
from plat.tasks import cancel, spawn
from pool.backoff import Backoff
from pool.drivers.base import Driver, Kind, Running, WarmOrder
from pool.health import Health, UselessError, open_line, probe, wait_ready
from pool.line import Line, Unreachable
from pool.warm_targets import WarmTargets

log = get_logger(__name__)

AT_ONCE = 2
"""Warm instances made at the same time: whoever calls now comes first."""

ANNOUNCED_S = 0.05
"""From one announcement to the next, at least: getting ready takes half a millisecond of a processor."""

PROBE_S = 1.0
STOP_GRACE_S = 1.0


class Taken(NamedTuple):
    """A warm instance that is the taker's. `line`: a connection to it, for its load; the taker closes it."""

    instance: str
    line: Line | None


class WarmStock:
    """What of the machine is warm. `targets` says how much should be."""

    def __init__(self, driver: Driver, targets: WarmTargets, start_timeout_s: float) -> None:
        self._driver = driver
        self._start_timeout_s = start_timeout_s
        self._ready: dict[str, Running] = {}
        """In order of age."""
        self._lines: dict[str, Line] = {}
        """To those that are ready, so that a call need not wait for a connection too."""
        self._announced_at = float("-inf")
        self._making: dict[str, tuple[Kind, asyncio.Task[None]]] = {}
        self._ending: set[str] = set()
        self._backoff = Backoff()
        self.targets = targets
        self.made: Callable[[], None] = lambda: None
        """Called when one is ready, or has failed: the next may be begun."""

    # --- reading

    def known(self) -> set[str]:
        return self._ready.keys() | self._making.keys()

    def ready(self) -> set[str]:
        return set(self._ready)

    def looked_after(self) -> set[str]:
        """Also those on their way in or out: a listing does not take them for new ones."""
        return self._ready.keys() | self._making.keys() | self._ending

    def has(self, kind: Kind) -> bool:
        return any(each.kind == kind for each in self._ready.values())

    def memory_mb(self) -> int:
        """What all of them may use."""
        used_mb = 0
        for kind, _ in self._making.values():
            used_mb += kind.memory_mb
        for each in self._ready.values():
            used_mb += each.kind.memory_mb if each.kind is not None else 0
        return used_mb

    def counts(self) -> Counter[Kind]:
        """Those being made included."""
        counts = Counter(kind for kind, _ in self._making.values())
        counts.update(each.kind for each in self._ready.values() if each.kind is not None)
        return counts

    # --- in and out

    def announce(self, kind: Kind, now: float) -> None:
        """The next of the kind may be taken in a moment: it gets ready. Not more often than is cheap."""
        if now - self._announced_at < ANNOUNCED_S:
            return
        line = next((self._lines.get(each) for each, it in self._ready.items() if it.kind == kind), None)
        if line is not None:
            self._announced_at = now
            line.announce()

    def take(self, kind: Kind, now: float) -> Taken | None:
        """The oldest of the kind."""
        self.targets.taken(kind, now)
        for instance, running in self._ready.items():
            if running.kind == kind:
                del self._ready[instance]
                return Taken(instance, self._lines.pop(instance, None))
        return None

    def refill(self, now: float, room_mb: int) -> None:
        """Start making what is missing and fits; stop what is too much. Now and then, and by `made`."""
        for kind, count in self.targets.surplus(self.counts(), now).items():
            self._stop_some(kind, count)
        for kind in self.targets.lacking(self.counts(), now):
            room_mb -= kind.memory_mb
            if len(self._making) >= AT_ONCE or room_mb < 0:
                return
            if now >= self._backoff.retry_at(repr(kind)):
                self._make(kind)

    def give_up(self, needed_mb: int) -> int:
        """Memory is short: stop as many as free `needed_mb`; returns what they free."""
        freed = 0
        for instance, running in list(self._ready.items()):
            if freed >= needed_mb:
                break
            assert running.kind is not None, "a warm instance without a kind"
            freed += running.kind.memory_mb
            self._stop(instance)
        return freed

    def adopt(self, running: Running) -> None:
        """One that the machine has, from before the pool's (re)start."""
        assert running.kind is not None, "a warm instance without a kind"
        task = spawn(self._adopt(running), f"adopt warm {running.instance}")
        self._under_way(running.instance, running.kind, task)

    def exited(self, instance: str) -> bool:
        """It has ended by itself; whether it was one of these."""
        if instance in self._making:
            self._making.pop(instance)[1].cancel()
            return True
        return self._leaves(instance)

    async def stop_all(self) -> None:
        """For the end of the platform. Returns when nothing of them is left, however far each had come."""
        all_of_them = self.looked_after()
        await cancel(*(task for _, task in self._making.values()))
        for instance in self.ready():
            self._leaves(instance)
        await asyncio.gather(*(self._stop_in_driver(instance) for instance in all_of_them))

    # --- steps

    def _make(self, kind: Kind) -> None:
        instance = secrets.token_hex(8)
        self._under_way(instance, kind, spawn(self._start(instance, kind), f"warm {instance}"))

    def _under_way(self, instance: str, kind: Kind, task: "asyncio.Task[None]") -> None:
        self._making[instance] = (kind, task)
        task.add_done_callback(lambda _: self._settled(instance))

    def _settled(self, instance: str) -> None:
        self._making.pop(instance, None)
        self.made()

    async def _start(self, instance: str, kind: Kind) -> None:
        try:
            running = await self._driver.warm(WarmOrder(instance, kind))
            health = await wait_ready(running.address, time.monotonic() + self._start_timeout_s)
        except PlatError as error:
            self._failed(instance, kind, error)
        except asyncio.CancelledError:
            self._stop(instance)
            raise
        except Exception as error:  # also an OSError: disk full, too many open files
            log.error("making a warm instance failed", instance=instance, exc_info=error)
            self._failed(instance, kind, PlatError("instance_start_failed", f"{error}."))
        else:
            self._backoff.succeeded(repr(kind))
            await self._enters(running, health)

    def _failed(self, instance: str, kind: Kind, error: PlatError) -> None:
        self._backoff.failed(repr(kind), time.monotonic(), error)
        log.warning("no warm instance can be made", runtime=kind.runtime, detail=error.detail)
        self._stop(instance)

    async def _adopt(self, running: Running) -> None:
        """One that was given a function just before a pool was killed has no use and no name: it ends."""
        try:
            health = await probe(running.address, PROBE_S)
            if health is None or not health.warm:
                raise UselessError("it does not say that it is warm")
        except (Unreachable, PlatError, UselessError) as error:
            log.info("a warm instance is not adopted", instance=running.instance, detail=str(error))
            self._stop(running.instance)
        else:
            await self._enters(running, health)

    async def _enters(self, running: Running, health: Health) -> None:
        """Ready, and not being made any more: nobody counts it twice while its line is opened."""
        self._making.pop(running.instance, None)
        self._ready[running.instance] = running
        line = await open_line(running.address)
        if line is not None and running.instance in self._ready:
            line.takes_notice = health.rehearses
            self._lines[running.instance] = line
        elif line is not None:
            line.close()

    def _leaves(self, instance: str) -> bool:
        """Whether it was there."""
        line = self._lines.pop(instance, None)
        if line is not None:
            line.close()
        return self._ready.pop(instance, None) is not None

    def _stop_some(self, kind: Kind, count: int) -> None:
        of_kind = [instance for instance, running in self._ready.items() if running.kind == kind]
        for instance in of_kind[:count]:
            self._stop(instance)

    def _stop(self, instance: str) -> None:
        self._leaves(instance)
        self._ending.add(instance)
        spawn(self._stop_in_driver(instance), f"stop warm {instance}")

    async def _stop_in_driver(self, instance: str) -> None:
        try:
            await self._driver.stop(instance, STOP_GRACE_S)
        except (PlatError, OSError) as error:  # the next listing finds it again
            log.warning("a warm instance cannot be stopped", instance=instance, detail=str(error))
        finally:
            self._ending.discard(instance)
