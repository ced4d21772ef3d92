"""What calls of both paths share: the tables they ask, what they hold, and what a failure means.

The streaming path and the fast path differ in how bytes move; who may call, where a slot goes and what
a client is told is decided here, once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from plat.address import Address
from plat.errors import PlatError
from plat.logs import get_logger
from plat.tasks import spawn
from router.access.bearers import UnknownKeyError
from router.admission import Admission, Admitted
from router.feed import PoolLink
from router.limits.buckets import LeasedBucket
from router.limits.permits import PermitBucket
from router.metrics import Metrics
from router.slots import InstanceSlots, SlotTable
from router.target import Target
from router.terms import Terms
from router.upstream import (
    QueueFullError,
    ShortageError,
    UnreachableError,
    UpstreamConnection,
    connect,
)

log = get_logger(__name__)

CLIENT_GONE = 499
"""Counted as the status of a call whose client left, or was cut for taking nothing (nginx's number)."""

OBITUARY_WAIT_S = 1.0
"""How long a call whose instance died waits to be told why."""


WAITS_LIMIT = 4
"""How often a call waits for a token of some limit; then it is refused."""

LIMIT_CODES = frozenset({"rate_limited", "too_many_in_flight"})

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods whose request may be sent twice (RFC 9110, 9.2.2)."""


SEES_AUTHORIZATION = frozenset({"public", "signed", "jwt"})
"""How functions are called that are given the header Authorization, if it carries no token of ours."""


class Calls:
    """The tables, and the words for what goes wrong."""

    def __init__(
        self,
        *,
        admission: Admission,
        slots: SlotTable,
        pool: PoolLink,
        metrics: Metrics,
        queue_timeout_s: float,
        send_timeout_s: float,
        connect: Callable[[Address], Awaitable[UpstreamConnection]] = connect,
    ) -> None:
        self._connect = connect
        self.admission = admission
        self.slots = slots
        self.pool = pool
        self.metrics = metrics
        self.queue_timeout_s = queue_timeout_s
        self.send_timeout_s = send_timeout_s

    def admit(
        self,
        target: Target,
        authorization: str | None,
        now: float,
        may_wait: bool,
        known: Terms | None = None,
    ) -> Admitted | PlatError | LeasedBucket:
        """The terms under which the call goes on, or the reason why it may not, or what to wait for."""
        admitted = self.admission.admit(target, authorization, now, may_wait, known)
        if isinstance(admitted, PlatError) and admitted.code in LIMIT_CODES:
            self.metrics.rate_limited(target.name)
        return admitted

    async def admitted(self, target: Target, authorization: str | None) -> Admitted:
        """As `admit`, once its tokens are here. Raises PlatError. Cancellable."""
        admitted = self.admit(target, authorization, time.monotonic(), may_wait=True)
        if isinstance(admitted, UnknownKeyError):
            await self.admission.bearers.refresh()
            admitted = self.admit(target, authorization, time.monotonic(), may_wait=True)
        if isinstance(admitted, LeasedBucket):
            admitted = await Turn(self, target, authorization).at(admitted)
        if isinstance(admitted, PlatError):
            raise admitted.with_traceback(None)  # it may be shared
        return admitted

    def function_label(self, name: str) -> str:
        """A function's name as a metric's label; names that nobody has made would be without number."""
        return name if name in self.admission.routes else ""

    async def connection(self, instance: InstanceSlots) -> UpstreamConnection:
        """The instance's idle connection used last, or a new one.

        Raises ShortageError, and UnreachableError, after which the instance's slot is gone.
        """
        idle = idle_connection(instance)
        if idle is not None:
            return idle
        try:
            return await self._connect(Address.parse(instance.address))
        except ShortageError:
            raise
        except UnreachableError as error:
            name = instance.version.id
            log.warning("instance unreachable", instance=instance.id, version=name, detail=str(error))
            self.slots.fault(instance, "unreachable")
            raise

    # --- what goes wrong

    def may_retry(self, name: str, method: str, upstream: UpstreamConnection) -> bool:
        """Whether a request whose connection ended may be sent once more.

        Only if the connection may have been closed while it was idle, not a byte of an answer came,
        and to do the same twice is to do it once.
        """
        if method in IDEMPOTENT and upstream.used and upstream.silent:
            self.metrics.upstream_error(name, "retried")
            return True
        return False

    def no_connection(self, name: str, error: ShortageError) -> PlatError:
        """The instance is not to blame: others, and another moment, may have more luck."""
        self.metrics.upstream_error(name, "no_connection")
        if isinstance(error, QueueFullError):
            detail = f'An instance of "{name}" has a full queue of connections, and takes none of them.'
            return PlatError("no_instance", detail, retry_after_s=1)
        detail = f'The router can open no connection to an instance of "{name}": {error.__cause__}.'
        return PlatError("too_many_connections", detail, retry_after_s=1)

    def no_instance(self, name: str) -> PlatError:
        waited = self.queue_timeout_s
        return PlatError(
            "no_instance", f'No instance of "{name}" was free within {waited:g} s.', retry_after_s=1
        )

    def timed_out(self, name: str, held: "Held", timeout_s: float) -> PlatError:
        self.metrics.upstream_error(name, "timeout")
        held.fault("timeout")
        return PlatError("timeout", f'"{name}" did not answer within {timeout_s:g} s.')

    def bad_response(self, name: str, held: "Held", patience_s: float, error: Exception) -> PlatError:
        self.metrics.upstream_error(name, "bad_response")
        held.abandon(patience_s)
        return PlatError("bad_response", f'"{name}" sent an answer that is not HTTP/1.1: {error}.')

    async def crashed(self, name: str, held: "Held") -> PlatError:
        """The connection ended during the call; the pool may know why."""
        self.metrics.upstream_error(name, "crashed")
        try:
            gone = await self.pool.obituary(held.instance.id, OBITUARY_WAIT_S)
        finally:
            held.lost()
        if gone is None:
            detail, reason = (
                f'An instance of "{name}" closed the connection before it had answered.',
                "closed",
            )
        else:
            detail, reason = f'An instance of "{name}" ended during the call. {gone.detail}', gone.reason
        return PlatError("instance_crashed", detail, reason=reason)


def idle_connection(instance: InstanceSlots) -> UpstreamConnection | None:
    while instance.connections:
        upstream = instance.connections.pop()
        if isinstance(upstream, UpstreamConnection) and not upstream.closed:
            return upstream
    return None


def give_back(
    slots: SlotTable, instance: InstanceSlots, upstream: UpstreamConnection, *, reusable: bool, now: float
) -> None:
    """A call is complete: its slot is free, and its connection idle if both sides keep it."""
    if reusable and not instance.gone:
        upstream.finish()
        instance.connections.append(upstream)
    else:
        upstream.close()
    slots.release(instance, now)


class Turn:
    """A call's place among those that wait for a token: it is admitted when its turn comes, not later."""

    def __init__(self, calls: Calls, target: Target, authorization: str | None) -> None:
        self._calls = calls
        self._target = target
        self._authorization = authorization
        self._waits = 0
        self._bucket: LeasedBucket | None = None
        """Where it waits."""
        self._outcome: asyncio.Future[Admitted | PlatError] = asyncio.get_running_loop().create_future()

    async def at(self, bucket: LeasedBucket) -> Admitted | PlatError:
        """Cancellable: a permit that came meanwhile is released."""
        self._wait_at(bucket)
        try:
            return await asyncio.shield(self._outcome)
        except asyncio.CancelledError:
            if self._bucket is not None:
                self._bucket.leave(self)
            self._give_back()
            raise

    def resume(self, now: float) -> None:
        """One that has to wait again does so from now on: it may be resumed before its task has a turn."""
        if self._outcome.done():
            return
        self._bucket = None
        outcome = self._calls.admit(self._target, self._authorization, now, self._waits < WAITS_LIMIT)
        if isinstance(outcome, LeasedBucket):
            self._wait_at(outcome)
        else:
            self._outcome.set_result(outcome)

    def _wait_at(self, bucket: LeasedBucket) -> None:
        self._waits += 1
        self._bucket = bucket
        bucket.waiters.append(self)

    def _give_back(self) -> None:
        if not self._outcome.done():
            self._outcome.cancel()
            return
        outcome = self._outcome.result()
        if isinstance(outcome, tuple):
            _, permit, _ = outcome
            if permit is not None:
                permit.release(time.monotonic())


class Held:
    """The slot and the connection of a call: let go of exactly once."""

    def __init__(
        self,
        slots: SlotTable,
        instance: InstanceSlots,
        upstream: UpstreamConnection,
        permit: PermitBucket | None = None,
    ) -> None:
        self._slots = slots
        self._let_go = False
        self._permit = permit
        self.instance = instance
        self.upstream = upstream

    def complete(self) -> None:
        """The answer is complete: the connection is idle again if both sides keep it."""
        if self._first():
            reusable = self.upstream.reusable
            give_back(self._slots, self.instance, self.upstream, reusable=reusable, now=time.monotonic())
            self._release_permit()

    def lost(self) -> None:
        """The connection ended by itself: what was in it has ended with it."""
        if self._first():
            self.upstream.close()
            self._slots.release(self.instance, time.monotonic())
            self._release_permit()

    def fault(self, reason: str) -> None:
        """The call still runs in the instance, which must be replaced."""
        if self._first():
            self.upstream.close()
            self._slots.fault(self.instance, reason)
            self._release_permit()

    def take_permit(self) -> PermitBucket | None:
        """For another attempt of the same call."""
        permit, self._permit = self._permit, None
        return permit

    def abandon(self, patience_s: float) -> None:
        """Nobody waits for the answer any more; the slot is free when the handler has ended."""
        if self._first():
            spawn(self._abandon(patience_s), "abandoned call")

    async def _abandon(self, patience_s: float) -> None:
        ended = await self.upstream.half_close(asyncio.get_running_loop().time() + patience_s)
        if ended:
            self._slots.release(self.instance, time.monotonic())
        else:
            self._slots.fault(self.instance, "timeout")
        self._release_permit()

    def _release_permit(self) -> None:
        permit = self.take_permit()
        if permit is not None:
            permit.release(time.monotonic())

    def _first(self) -> bool:
        first, self._let_go = not self._let_go, True
        return first
