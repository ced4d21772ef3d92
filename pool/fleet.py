"""The instances the pool has: starts, adopts, drains and stops them, and notes those that die.

Does what `dispatch` decides; tells it through `Observer` what became of it. Every change of state
goes through the table in `lifecycle`.
"""

import asyncio
import secrets
import time
from typing import Protocol

from plat.errors import PlatError
from plat.feed import VersionEntry
from plat.logs import get_logger
from plat.model import Instance
from plat.tasks import cancel, spawn
from pool.adoption import until_it_serves
from pool.backoff import Backoff
from pool.drivers.base import Driver, Exited, Kind, Running
from pool.drivers.environment import needs_own_start
from pool.health import Unreachable, UselessError, probe
from pool.launcher import Launcher
from pool.ledger import Ledger
from pool.lifecycle import ON_THE_WAY, State
from pool.line import Line
from pool.member import Member
from pool.members import Members
from pool.metrics import PoolMetrics
from pool.pauses import Pauses
from pool.removals import Removals
from pool.warm import WarmStock

log = get_logger(__name__)

STOP_GRACE_S = 5.0
"""Seconds from SIGTERM to SIGKILL, for an instance that has no call in flight."""

PROBE_S = 1.0

COUNTED_S = 0.002
"""So long after it is ready a start is counted and logged: that takes 0.1 to 0.2 ms, and a call waits."""


class Observer(Protocol):
    """What the fleet tells. Called on the event loop, after the change is complete."""

    def instance_loading(self, member: Member) -> None: ...
    def load_failed(self, member: Member) -> None: ...
    def instance_resuming(self, member: Member) -> None: ...
    def instance_ready(self, member: Member) -> None: ...
    def instance_lost(self, member: Member) -> None: ...
    def instance_gone(self, member: Member, exited: Exited) -> None: ...
    def start_failed(self, version: VersionEntry, error: PlatError) -> None: ...


class Fleet:
    """All instances of one driver."""

    def __init__(
        self,
        driver: Driver,
        launcher: Launcher,
        stock: WarmStock,
        ledger: Ledger,
        metrics: PoolMetrics,
        start_timeout_s: float,
    ) -> None:
        self._driver = driver
        self._launcher = launcher
        self._stock = stock
        self._ledger = ledger
        self._metrics = metrics
        self._start_timeout_s = start_timeout_s
        self._members = Members()
        self._removals = Removals(driver)
        self._pauses = Pauses(
            driver, ledger, resuming=self._resuming, resumed=self._resumed, stays_paused=self._stays_paused
        )
        self._starts: set[asyncio.Task[PlatError | None]] = set()
        self.closing = False
        self.backoff = Backoff()
        self.observer: Observer | None = None

    # --- reading

    def members(self, version_id: str | None = None) -> list[Member]:
        """Of one version, or all."""
        return list(self._members.values() if version_id is None else self._members.of_version(version_id))

    def has_any(self, version_id: str) -> bool:
        return bool(self._members.of_version(version_id))

    def get(self, instance: str) -> Member | None:
        return self._members.get(instance)

    def known(self) -> set[str]:
        return {each.id for each in self._members.values() if each.state not in ON_THE_WAY}

    def looked_after(self) -> set[str]:
        """Also those on their way in or out: a listing does not take them for new ones."""
        return self._members.keys() | self._removals.under_way

    def starting(self) -> int:
        """Those made of a warm instance cost nearly nothing, and are not counted."""
        return self._members.starting()

    def has_warm(self, version: VersionEntry) -> bool:
        """Whether a start would find a warm instance, and so need no more memory."""
        return not needs_own_start(version.spec) and self._stock.has(Kind.of(version.spec))

    def announce(self, version: VersionEntry) -> None:
        """An instance of it may be started in a moment."""
        if not needs_own_start(version.spec):
            self._stock.announce(Kind.of(version.spec), time.monotonic())

    def memory_mb(self) -> int:
        """What all instances may use; of those that are being stopped it is free in a moment."""
        return self._members.memory_mb + self._stock.memory_mb()

    def warm_memory_mb(self) -> int:
        return self._stock.memory_mb()

    def give_up_warm(self, needed_mb: int) -> int:
        """Stop as many warm instances as free so much; returns what they free."""
        return self._stock.give_up(needed_mb)

    def views(self, function: str) -> list[Instance]:
        """As the API shows them."""
        views = []
        for each in self._members.values():
            if each.version.function == function:
                account = self._ledger.account(each.id)
                views.append(
                    Instance(
                        id=each.id,
                        function=function,
                        version=each.version.number,
                        state=each.state.value,
                        driver=self._driver.name,
                        started_at=each.started_at,
                        slots=each.version.spec.concurrency,
                        slots_held=sum(account.held.values()) if account else 0,
                    )
                )
        return sorted(views, key=lambda view: view.started_at)

    # --- start

    def start(self, version: VersionEntry) -> "asyncio.Task[PlatError | None]":
        """One more instance, in the background: of a warm one if there is one.

        The observer hears how it went; the task gives the error.
        """
        assert not self.closing, "a start after the end"
        own = needs_own_start(version.spec)
        warm = None if own else self._stock.take(Kind.of(version.spec), time.monotonic())
        if warm is None:
            member = Member(secrets.token_hex(8), version, State.STARTING)
        else:
            member = Member(warm.instance, version, State.LOADING)
        line = warm.line if warm is not None else None
        self._members.add(member)
        start = spawn(self._start(member, line), f"start {version.function} {member.id}")
        self._starts.add(start)
        start.add_done_callback(self._starts.discard)
        return start

    async def _start(self, member: Member, line: Line | None) -> PlatError | None:
        """A failure is told, and leaves nothing of the instance. `line`: to a warm one."""
        version, began = member.version, time.monotonic()
        deadline, kind = began + self._start_timeout_s, "warm"
        try:
            if member.state is State.LOADING and not await self._launcher.load(
                member, deadline, line, meanwhile=lambda: self._loading(member)
            ):
                member = self._another(member)
            if member.state is State.STARTING:
                kind = "start"
                await self._launcher.start(member, deadline)
        except PlatError as error:
            failure = await self._launcher.with_last_lines(member, error)
        except Exception as error:  # also an OSError: disk full, too many open files
            log.error("a start failed", instance=member.id, exc_info=error)
            failure = PlatError("instance_start_failed", f"The instance cannot be started: {error}.")
        else:
            self.backoff.succeeded(version.id)
            since = member.serves.result() if member.serves.done() else time.monotonic()
            member.start_s = max(0.0, since - began)
            self._ready(member)
            self._count_later(member, kind, member.start_s)
            return None
        self.backoff.failed(version.id, time.monotonic(), failure)
        self._start_failed(member, failure)
        return failure

    def _count_later(self, member: Member, kind: str, seconds: float) -> None:
        def count() -> None:
            member.log(State.READY)
            self._metrics.cold_start(member.version.function, kind, seconds)

        asyncio.get_running_loop().call_later(COUNTED_S, count)

    def _loading(self, member: Member) -> None:
        if self.observer is not None:
            self.observer.instance_loading(member)

    def serves(self, instance: str, since: float) -> None:
        """It has loaded: it told a router."""
        member = self._members.get(instance)
        if member is not None and not member.serves.done():
            member.serves.set_result(since)

    def _another(self, useless: Member) -> Member:
        """In its place, so that the need it was to meet is met by one instance and not by two."""
        useless.become(State.FAILED)
        self._discard(useless)
        member = Member(secrets.token_hex(8), useless.version, State.STARTING)
        self._members.add(member)
        return member

    def _start_failed(self, member: Member, error: PlatError) -> None:
        member.become(State.FAILED)
        log.warning(
            "instance failed to start",
            instance=member.id,
            function=member.version.function,
            version=member.version.number,
            code=error.code,
            detail=error.detail,
        )
        self._discard(member)
        if self.observer is not None:
            self.observer.start_failed(member.version, error)

    def _discard(self, failed: Member) -> None:
        failed.become(State.GONE)
        self._members.remove(failed.id)
        self._removals.begin(failed.id)
        if self.observer is not None:
            self.observer.load_failed(failed)

    def _ready(self, member: Member) -> None:
        member.enter(State.READY)
        member.ready_at = time.monotonic()
        if self._ledger.account(member.id) is None:
            self._ledger.open(member.id, member.version.id, member.version.spec.concurrency, time.monotonic())
        self._tell_ready(member)

    def _tell_ready(self, member: Member) -> None:
        if self.observer is not None:
            self.observer.instance_ready(member)
        if member.died.done():  # in the very moment in which it became ready
            self.exited(member.died.result())

    # --- pause and resume

    def pause(self, member: Member) -> None:
        """All its slots are home. It is out of use from now on; the engine pauses it in the background."""
        self._pauses.pause(member)

    def resume(self, member: Member) -> None:
        """In the background; the observer is told when it is ready again, or of no use."""
        self._pauses.resume(member)

    def _resumed(self, member: Member, seconds: float) -> None:
        if self.observer is not None:
            self.observer.instance_ready(member)
        self._count_later(member, "resume", seconds)

    def _resuming(self, member: Member) -> None:
        if self.observer is not None:
            self.observer.instance_resuming(member)

    def _stays_paused(self, member: Member) -> None:
        """Others take its place at once; an engine that is away refuses those too, and says so."""
        if self.observer is not None:
            self.observer.instance_lost(member)

    # --- adopt

    def adopt(self, running: Running, version: VersionEntry) -> None:
        """An instance from before the pool's (re)start, or one that somebody started by hand."""
        member = Member(running.instance, version, State.STARTING, managed=running.managed)
        member.address, member.started_at = running.address, running.started_at
        self._members.add(member)
        if running.paused:
            self._adopt_paused(member)
        else:
            spawn(self._adopt(member), f"adopt {member.id}")

    def _adopt_paused(self, member: Member) -> None:
        """Only an instance whose slots were all home was ever paused."""
        spec = member.version.spec
        member.become(State.READY)
        self._ledger.open(member.id, member.version.id, spec.concurrency, time.monotonic())
        member.become(State.PAUSED)
        self._ledger.pause(member.id)

    async def _adopt(self, member: Member) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        try:
            await until_it_serves(member, deadline)
        except UselessError as error:
            self._not_adopted(member, str(error))
        except PlatError as error:
            if member.state is State.STARTING and not member.stopping:
                self.backoff.failed(member.version.id, time.monotonic(), error)
                self._start_failed(member, error)
        else:
            self._adopted(member)

    def _not_adopted(self, member: Member, why: str) -> None:
        """That is nobody's fault: whoever waits gets another."""
        if self._members.begin_stop(member):
            self._gone(member, Exited(member.id, "unknown", why))
            if member.managed:
                self._removals.begin(member.id)

    def _adopted(self, member: Member) -> None:
        if member.state is not State.STARTING or member.stopping:
            return  # a router found it at fault meanwhile, and it was stopped
        member.become(State.READY)
        log.info("instance adopted", instance=member.id, function=member.version.function)
        spec = member.version.spec
        if member.managed:
            self._ledger.adopt(member.id, member.version.id, spec.concurrency, time.monotonic())
        else:
            self._ledger.open(member.id, member.version.id, spec.concurrency, time.monotonic())
        self._tell_ready(member)

    # --- end

    def drain(self, member: Member, by: float) -> None:
        """No new slot; `stop` once all slots are home, or at `by` (monotonic) whatever happens."""
        if member.state in (State.READY, State.PAUSED):
            member.become(State.DRAINING)
            member.drain_by = by

    def stop(self, member: Member, grace_s: float = STOP_GRACE_S) -> None:
        """End it now, in the background."""
        if self._members.begin_stop(member):
            spawn(self._stop(member, grace_s), f"stop {member.id}")

    async def _stop(self, member: Member, grace_s: float) -> None:
        if member.managed:
            await self._removals.remove(member.id, grace_s)
        self._gone(member, Exited(member.id, "stopped", "The platform stopped it."))

    def exited(self, exited: Exited) -> None:
        """The driver says that an instance has ended by itself."""
        if self._stock.exited(exited.instance):
            return
        member = self._members.get(exited.instance)
        if member is None:
            return
        if member.state in ON_THE_WAY:
            if not member.died.done():
                member.died.set_result(exited)
            return
        if self._members.begin_stop(member):
            now = time.monotonic()
            self.backoff.died(member.version.id, now - member.ready_at, now)
            self._gone(member, exited)
            self._removals.begin(exited.instance)

    def _gone(self, member: Member, exited: Exited) -> None:
        if member.state is not State.GONE:
            member.become(State.GONE)
            self._ledger.close(member.id)
            self._members.remove(member.id)
            log.info("instance gone", instance=member.id, reason=exited.reason, detail=exited.detail)
            if self.observer is not None:
                self.observer.instance_gone(member, exited)

    async def stop_unknown(self, running: Running) -> None:
        """One of ours whose version nobody knows any more."""
        log.info("instance of an unknown version is stopped", instance=running.instance)
        await self._removals.remove(running.instance, STOP_GRACE_S)

    async def stop_all(self, grace_s: float) -> None:
        """The platform ends: nothing starts any more, and every instance of ours is stopped."""
        self.closing = True
        await cancel(*self._starts)
        managed = [member for member in self._members.values() if member.managed]
        log.info("stopping all instances", instances=len(managed))
        for member in managed:
            self._members.begin_stop(member)
        left = [self._removals.remove(instance, 0) for instance in self._removals.under_way]
        await asyncio.gather(
            self._stock.stop_all(), *left, *(self._stop(member, grace_s) for member in managed)
        )

    async def in_flight(self, member: Member) -> int | None:
        """What the instance says of itself; None if it does not answer now."""
        try:
            health = await probe(member.address, PROBE_S)
        except Unreachable:
            return None
        except PlatError as error:
            self._never_serves(member, error.detail)
            return None
        if health is not None and health.warm:
            self._never_serves(member, "It was never told its function.")
            return None
        if health is None:
            await self._wake(member)
            return None
        return health.in_flight

    async def _wake(self, member: Member) -> None:
        """The engine may have paused it after all: what a pool asked for before it was killed comes late."""
        if member.managed:
            await self._pauses.wake(member)

    def _never_serves(self, member: Member, why: str) -> None:
        """One that was too busy with its start to say so when it was adopted."""
        log.warning("an adopted instance is of no use", instance=member.id, detail=why)
        self.stop(member, grace_s=0)
