"""The instances the pool has: starts, adopts, drains and stops them, and notes those that die.

Does what `dispatch` decides; tells it through `Observer` what became of it. Every change of state
goes through the table in `lifecycle`.
"""

import asyncio
import secrets
import time
from datetime import UTC, datetime
from typing import Any, Protocol

from plat.errors import PlatError
from plat.feed import VersionEntry
from plat.logs import get_logger
from plat.model import Instance
from plat.tasks import cancel, spawn, subtask
from pool.backoff import Backoff
from pool.code import CodeCache
from pool.drivers.base import Driver, Exited, Running, StartOrder
from pool.health import Unreachable, probe, wait_ready
from pool.ledger import Ledger
from pool.lifecycle import ON_THE_WAY, State, follow
from pool.logbook import LogBook
from pool.metrics import PoolMetrics

log = get_logger(__name__)

STOP_GRACE_S = 5.0
"""Seconds from SIGTERM to SIGKILL, for an instance that has no call in flight."""

PROBE_S = 1.0
STOP_RETRY_S = 1.0
LAST_LINES = 20
READ_BACK_LINES = 500


class Member:
    """An instance the pool knows."""

    def __init__(self, instance: str, version: VersionEntry, state: State, *, managed: bool = True) -> None:
        self.id = instance
        self.version = version
        self.state = state
        self.managed = managed
        self.address = ""
        self.started_at = datetime.now(UTC)
        self.died: asyncio.Future[Exited] = asyncio.get_running_loop().create_future()
        self.drain_by = float("inf")
        self.stopping = False

    def become(self, state: State) -> None:
        self.state = follow(self.state, state)
        log.info(
            "instance",
            instance=self.id,
            function=self.version.function,
            version=self.version.number,
            state=state.value,
        )


class Observer(Protocol):
    """What the fleet tells. Called on the event loop, after the change is complete."""

    def instance_ready(self, member: Member) -> None: ...
    def instance_gone(self, member: Member, exited: Exited) -> None: ...
    def start_failed(self, version: VersionEntry, error: PlatError) -> None: ...


class Fleet:
    """All instances of one driver."""

    def __init__(
        self,
        driver: Driver,
        code: CodeCache,
        logbook: LogBook,
        ledger: Ledger,
        metrics: PoolMetrics,
        start_timeout_s: float,
    ) -> None:
        self._driver = driver
        self._code = code
        self._logbook = logbook
        self._ledger = ledger
        self._metrics = metrics
        self._start_timeout_s = start_timeout_s
        self._members: dict[str, Member] = {}
        self._ending: set[str] = set()
        self._starts: set[asyncio.Task[PlatError | None]] = set()
        self.closing = False
        self.backoff = Backoff()
        self.observer: Observer | None = None

    # --- reading

    def members(self, version_id: str | None = None) -> list[Member]:
        members = self._members.values()
        return [each for each in members if version_id is None or each.version.id == version_id]

    def get(self, instance: str) -> Member | None:
        return self._members.get(instance)

    def known(self) -> set[str]:
        return {each.id for each in self._members.values() if each.state not in ON_THE_WAY}

    def ending(self, instance: str) -> bool:
        """Whether it is on its way out, and no member any more."""
        return instance in self._ending and instance not in self._members

    def starting(self) -> int:
        return sum(each.state in ON_THE_WAY for each in self._members.values())

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
        """One more instance, in the background. The observer hears how it went; the task gives the error."""
        assert not self.closing, "a start after the end"
        member = Member(secrets.token_hex(8), version, State.STARTING)
        self._members[member.id] = member
        start = spawn(self._start(member), f"start {version.function} {member.id}")
        self._starts.add(start)
        start.add_done_callback(self._starts.discard)
        return start

    async def _start(self, member: Member) -> PlatError | None:
        """A failure is told, and leaves nothing of the instance."""
        version, began = member.version, time.monotonic()
        try:
            await self._launch(member, began + self._start_timeout_s)
        except PlatError as error:
            failure = await self._with_last_lines(member, error)
        except OSError as error:  # disk full, too many open files
            failure = PlatError("instance_start_failed", f"The instance cannot be started: {error}.")
        else:
            self.backoff.succeeded(version.id)
            self._metrics.cold_start(version.function, "start", time.monotonic() - began)
            self._ready(member)
            return None
        self.backoff.failed(version.id, time.monotonic(), failure)
        self._start_failed(member, failure)
        return failure

    async def _launch(self, member: Member, deadline: float) -> None:
        code = await self._code.code(member.version.digest)
        running = await self._driver.start(StartOrder(member.id, member.version, code))
        member.address, member.started_at = running.address, running.started_at
        await self._await_ready(member, deadline)

    async def _await_ready(self, member: Member, deadline: float) -> None:
        """Ready, or the reason why not: it says so itself, dies, or takes too long."""
        ready = subtask(wait_ready(member.address, deadline), f"await {member.id}")
        either: list[asyncio.Future[Any]] = [ready, member.died]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if member.died.done() and not ready.done():
                exited = member.died.result()
                detail = f"The instance ended before it was ready. {exited.detail}"
                raise PlatError("instance_start_failed", detail, reason=exited.reason)
            ready.result()
        finally:
            ready.cancel()

    async def _with_last_lines(self, member: Member, error: PlatError) -> PlatError:
        """What it wrote before it ended tells more than its exit status."""
        if error.code != "instance_start_failed" or error.traceback:
            return error
        lines = [
            line.message
            async for line in self._logbook.read(member.version.function, tail=READ_BACK_LINES, follow=False)
            if line.instance == member.id
        ]
        text = "\n".join(lines[-LAST_LINES:]) or None
        return PlatError(error.code, error.detail, reason=error.reason, traceback=text)

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
        member.become(State.GONE)
        del self._members[member.id]
        self._clean_up(member.id)
        if self.observer is not None:
            self.observer.start_failed(member.version, error)

    def _ready(self, member: Member) -> None:
        member.become(State.READY)
        self._ledger.open(member.id, member.version.id, member.version.spec.concurrency, time.monotonic())
        if self.observer is not None:
            self.observer.instance_ready(member)

    # --- adopt

    def adopt(self, running: Running, version: VersionEntry) -> None:
        """An instance from before the pool's (re)start, or one that somebody started by hand."""
        member = Member(running.instance, version, State.STARTING, managed=running.managed)
        member.address, member.started_at = running.address, running.started_at
        self._members[member.id] = member
        spawn(self._adopt(member), f"adopt {member.id}")

    async def _adopt(self, member: Member) -> None:
        try:
            await probe(member.address, PROBE_S)  # no answer in time: it is busy, which is alive
        except (Unreachable, PlatError) as error:
            if member.state is State.STARTING:
                self._start_failed(member, PlatError("instance_start_failed", str(error)))
            return
        if member.state is not State.STARTING:
            return  # a router found it at fault meanwhile, and it was stopped
        member.become(State.READY)
        log.info("instance adopted", instance=member.id, function=member.version.function)
        spec = member.version.spec
        if member.managed:
            self._ledger.adopt(member.id, member.version.id, spec.concurrency, time.monotonic())
        else:
            self._ledger.open(member.id, member.version.id, spec.concurrency, time.monotonic())
        if self.observer is not None:
            self.observer.instance_ready(member)

    # --- end

    def drain(self, member: Member, by: float) -> None:
        """No new slot; `stop` once all slots are home, or at `by` (monotonic) whatever happens."""
        if member.state in (State.READY, State.PAUSED):
            member.become(State.DRAINING)
            member.drain_by = by

    def stop(self, member: Member, grace_s: float = STOP_GRACE_S) -> None:
        """End it now, in the background."""
        if not member.stopping:
            member.stopping = True
            spawn(self._stop(member, grace_s), f"stop {member.id}")

    async def _stop(self, member: Member, grace_s: float) -> None:
        if member.managed:
            await self._stop_in_driver(member.id, grace_s)
        self._gone(member, Exited(member.id, "stopped", "The platform stopped it."))

    def _clean_up(self, instance: str) -> None:
        """What an instance that is no member any more may have left, as soon as the engine can."""
        spawn(self._stop_in_driver(instance, 0), f"clean up {instance}")

    async def _stop_in_driver(self, instance: str, grace_s: float) -> None:
        """Until the engine has done it; a listing meanwhile does not take it for a new one."""
        self._ending.add(instance)
        try:
            while True:
                if await self._stopped(instance, grace_s):
                    return
                await asyncio.sleep(STOP_RETRY_S)
        finally:
            self._ending.discard(instance)

    async def _stopped(self, instance: str, grace_s: float) -> bool:
        try:
            await self._driver.stop(instance, grace_s)
        except PlatError as error:
            log.warning("instance cannot be stopped yet", instance=instance, detail=error.detail)
            return False
        return True

    def exited(self, exited: Exited) -> None:
        """The driver says that an instance has ended by itself."""
        member = self._members.get(exited.instance)
        if member is None:
            return
        if member.state in ON_THE_WAY:
            if not member.died.done():
                member.died.set_result(exited)
            return
        if not member.stopping:
            member.stopping = True
            self._gone(member, exited)
            self._clean_up(exited.instance)

    def _gone(self, member: Member, exited: Exited) -> None:
        if member.state is not State.GONE:
            member.become(State.GONE)
            self._ledger.close(member.id)
            self._members.pop(member.id, None)
            log.info("instance gone", instance=member.id, reason=exited.reason, detail=exited.detail)
            if self.observer is not None:
                self.observer.instance_gone(member, exited)

    async def stop_unknown(self, running: Running) -> None:
        """One of ours whose version nobody knows any more."""
        log.info("instance of an unknown version is stopped", instance=running.instance)
        await self._stop_in_driver(running.instance, STOP_GRACE_S)

    async def stop_all(self, grace_s: float) -> None:
        """The platform ends: nothing starts any more, and every instance of ours is stopped."""
        self.closing = True
        await cancel(*self._starts)
        managed = [member for member in self._members.values() if member.managed]
        log.info("stopping all instances", instances=len(managed))
        for member in managed:
            member.stopping = True
        await asyncio.gather(*(self._stop(member, grace_s) for member in managed))

    async def in_flight(self, member: Member) -> int | None:
        """What the instance says of itself; None if it does not answer now."""
        try:
            health = await probe(member.address, PROBE_S)
        except (Unreachable, PlatError):
            return None
        return health.in_flight if health is not None else None
