"""The fast path: a complete small request becomes a call within one callback (DESIGN 5).

It is admitted, given a slot and written to an idle upstream connection: no task, future, timer or URL
object. Both paths ask the same admission, slots and metrics; `client_connection` does the reading.
"""

import asyncio
import time

from plat.errors import PlatError
from plat.feed import Route, RouteVersion
from plat.tasks import spawn
from router.answers import Answer
from router.calls import (
    CLIENT_GONE,
    SEES_AUTHORIZATION,
    WAITS_LIMIT,
    Held,
    give_back,
    idle_connection,
)
from router.client_connection import CLOSED, IN_FLIGHT, WAITING, ClientConnection
from router.clients import Clients
from router.http1 import BadResponseError
from router.limits.buckets import LeasedBucket
from router.limits.permits import PermitBucket
from router.recognise import Recognised
from router.slots import InstanceSlots, Waiter
from router.streaming_only import StreamingOnlyError
from router.upstream import ShortageError, UnreachableError, UpstreamConnection


class FastConnection(ClientConnection):
    """What becomes of a request: admission, a slot, an instance, the answer."""

    __slots__ = (
        "_answer",
        "_bucket",
        "_call_id",
        "_instance",
        "_is_retry",
        "_lines",
        "_permit",
        "_route",
        "_started",
        "_task",
        "_upstream",
        "_version",
        "_waiter",
        "_waits",
    )

    def __init__(self, clients: Clients) -> None:
        super().__init__(clients)
        self._started = 0.0
        self._call_id = b""
        self._lines = b""
        """Of the answer's head, about the call's limits."""
        self._is_retry = False
        self._route: Route
        self._version: RouteVersion
        self._waiter: Waiter | None = None
        self._bucket: LeasedBucket | None = None
        """WAITING: the limit whose token is waited for; None: a slot is."""
        self._waits = 0
        """How often the call has waited for a token."""
        self._permit: PermitBucket | None = None
        """To be released when the call ends; once it has a connection that went wrong, `Held` does that."""
        self._instance: InstanceSlots
        self._upstream: UpstreamConnection | None = None
        """The connection of the call in flight; None also while it is being made."""
        self._task: asyncio.Task[None] | None = None
        """What a call waits for that needs one: a connection attempt, or the cause of a crash."""
        self._answer: Answer | None = None
        """None until a piece of it has come, and for good if that piece was all of it."""

    # --- a request

    def _begin(self, request: Recognised, data: bytes) -> None:
        """`data`: all that has come, from the request on."""
        self._started = now = time.monotonic()
        self._call_id = request.call_id or self._clients.call_id()
        self._is_retry = False
        self._waits = 0
        self._admit(request, data, now)

    def _admit(self, request: Recognised, data: bytes, now: float) -> None:
        calls = self._clients.calls
        known, may_wait = request.terms, self._waits < WAITS_LIMIT
        admitted = calls.admit(request.target, request.authorization, now, may_wait, known)
        if not isinstance(admitted, tuple):
            self._not_admitted(admitted, request, data, now)
            return
        terms, self._permit, self._lines = admitted
        self._route, self._version = terms.route, terms.version
        if terms is not known:
            request.terms = terms
        instance = calls.slots.take(self._version.id, now)
        if instance is None:
            self._wait_for_slot(now)
        else:
            calls.metrics.not_queued()
            self._send(instance, now)

    def _not_admitted(
        self, why: PlatError | LeasedBucket, request: Recognised, data: bytes, now: float
    ) -> None:
        """Refused; or a token may be on its way, and it `resume`s."""
        if isinstance(why, StreamingOnlyError) and data:
            self._hand_over(data)
            return
        if isinstance(why, PlatError):
            self._refuse(why, request.target.name)
            return
        route = self._clients.calls.admission.routes.get(request.target.name)
        assert route is not None, "a limit without its function"
        self._route = route
        self._bucket = why
        self._waits += 1
        self._state = WAITING
        self.deadline = now + self._clients.calls.queue_timeout_s
        why.waiters.append(self)

    def resume(self, now: float) -> None:
        """A token may be here (`router.limits.buckets.Waiter`)."""
        if self._bucket is not None:
            self._bucket = None
            self._admit(self._request, b"", now)

    def _wait_for_slot(self, now: float) -> None:
        new_future = asyncio.get_running_loop().create_future
        waiter = self._clients.calls.slots.wait(self._version.id, now, new_future)
        if isinstance(waiter, PlatError):
            self._refuse(waiter, self._route.name)
            return
        self._waiter = waiter
        self._state = WAITING
        self.deadline = now + self._clients.calls.queue_timeout_s
        waiter.future.add_done_callback(self._served)

    def _served(self, future: "asyncio.Future[InstanceSlots]") -> None:
        """A slot, or the reason why there is none; whoever left meanwhile has given it back."""
        if self._waiter is None or self._waiter.future is not future or future.cancelled():
            return
        self._waiter = None
        error = future.exception()
        if isinstance(error, PlatError):
            self._refuse(error, self._route.name)
            return
        now = time.monotonic()
        self._clients.calls.metrics.queued(now - self._started)
        self._send(future.result(), now)

    def _leave_queue(self) -> None:
        bucket, self._bucket = self._bucket, None
        if bucket is not None:
            bucket.leave(self)
            return
        waiter, self._waiter = self._waiter, None
        assert waiter is not None
        self._clients.calls.slots.leave(self._version.id, waiter, time.monotonic())

    # --- to the instance

    def _send(self, instance: InstanceSlots, now: float) -> None:
        self._instance = instance
        self._state = IN_FLIGHT
        self.deadline = now + self._version.timeout_s
        upstream = idle_connection(instance)
        if upstream is not None:
            self._write(upstream, now)
        else:
            self._task = task = spawn(self._connect(instance), "connect")
            # Not in the coroutine: one that is cancelled before its first step never runs a line.
            task.add_done_callback(lambda task: self._connect_ended(task, instance))

    def _write(self, upstream: UpstreamConnection, now: float) -> None:
        self._upstream = upstream
        self._answer = None
        request = self._request
        authorization, forward = request.authorization, request.forward
        if (
            authorization is not None
            and self._route.auth in SEES_AUTHORIZATION
            and not self._clients.calls.pool.identities.is_ours(authorization)
        ):
            forward = request.forward_authorized
        deadline_ms = (now + self._clients.epoch_s + self._version.timeout_s) * 1000
        upstream.begin(
            self,
            b"%b%b\r\nX-Call-Id: %b\r\nX-Deadline-Ms: %d\r\n\r\n%b"
            % (forward, self._peer, self._call_id, deadline_ms, self._body),
        )

    async def _connect(self, instance: InstanceSlots) -> None:
        """The first call on a slot has no connection yet."""
        calls = self._clients.calls
        try:
            upstream = await calls.connection(instance)
        except ShortageError as error:
            calls.slots.release(instance, time.monotonic())
            self._refuse(calls.no_connection(self._route.name, error), self._route.name)
        except UnreachableError:
            calls.metrics.upstream_error(self._route.name, "unreachable")
            self._try_another()
        else:
            self._write(upstream, time.monotonic())

    def _connect_ended(self, task: "asyncio.Task[None]", instance: InstanceSlots) -> None:
        if task.cancelled() or task.exception() is not None:
            self._clients.calls.slots.release(instance, time.monotonic())

    def _try_another(self) -> None:
        now = time.monotonic()
        instance = self._clients.calls.slots.take(self._version.id, now)
        if instance is None:
            self._wait_for_slot(self._started)
        else:
            self._send(instance, now)

    # --- from the instance (`router.upstream.Sink`)

    def upstream_data(self, data: bytes) -> None:
        request, answer = self._request, self._answer
        close = request.close or self._clients.closing
        if answer is None:
            if not request.is_head:
                whole = self._clients.answers.whole(data, self._call_id, self._lines, close=close)
                if whole is not None:
                    head, out = whole
                    self._complete(head.status, out, reusable=head.keep_alive)
                    return
            self._answer = answer = Answer(
                self._clients.answers, self._call_id + self._lines, is_head=request.is_head, close=close
            )
        try:
            out = answer.feed(data)
        except BadResponseError as error:
            self._bad_response(error)
            return
        if answer.complete:
            self._complete(answer.status, out, reusable=answer.reusable)
        else:
            self.deadline = time.monotonic() + self._version.timeout_s
            if out:
                self._transport.write(out)  # after the deadline: a client that does not take it sets its own

    def upstream_ended(self, *, broken: bool) -> None:
        """The instance closed: that is the end of an answer without a length, or of the instance."""
        answer = self._answer
        if answer is None:
            self._cut()
            return
        try:
            out = answer.end(broken=broken)
        except BadResponseError:
            self._cut()
        else:
            self._complete(answer.status, out, reusable=False)

    def _cut(self) -> None:
        """The connection ended before the answer did."""
        held = self._take_held()
        if not self._is_retry and self._may_retry(held.upstream):
            self._permit = held.take_permit()
            held.lost()
            self._is_retry = True
            self._try_another()
            return
        self._task = task = spawn(self._crashed(held), "crashed call")
        task.add_done_callback(lambda _: held.lost())

    def _may_retry(self, upstream: UpstreamConnection) -> bool:
        return self._clients.calls.may_retry(self._route.name, self._request.method, upstream)

    def _complete(self, status: int, out: bytes, *, reusable: bool) -> None:
        """The slot is free before the client has read the answer."""
        upstream, self._upstream = self._upstream, None
        assert upstream is not None
        now, calls = time.monotonic(), self._clients.calls
        give_back(calls.slots, self._instance, upstream, reusable=reusable, now=now)
        calls.metrics.call_ended(self._route.name, status, now - self._started)
        if self._permit is not None:
            self._release_permit(now)
        self._transport.write(out)
        self._answered(now)

    # --- what goes wrong

    def _bad_response(self, error: BadResponseError) -> None:
        held = self._take_held()
        self._fail(self._clients.calls.bad_response(self._route.name, held, self._version.timeout_s, error))

    async def _crashed(self, held: Held) -> None:
        failure = await self._clients.calls.crashed(self._route.name, held)
        self._fail(failure)

    def _fail(self, error: PlatError) -> None:
        """Half an answer cannot be taken back: then the connection is cut, so that it shows."""
        if self._answer is not None and self._answer.begun:
            self._count(error.status)
            self._state = CLOSED
            self._transport.abort()
        else:
            self._refuse(error, self._route.name)

    def _refuse(self, error: PlatError, function: str) -> None:
        calls, request, now = self._clients.calls, self._request, time.monotonic()
        calls.metrics.call_ended(calls.function_label(function), error.status, now - self._started)
        if self._permit is not None:
            self._release_permit(now)
        close = request.close or self._clients.closing
        out = self._clients.refusals.of(error, self._call_id, is_head=request.is_head, close=close)
        self._transport.write(out)
        self._answered(now)

    def _take_held(self) -> Held:
        upstream, self._upstream = self._upstream, None
        assert upstream is not None
        upstream.detach()
        permit, self._permit = self._permit, None
        return Held(self._clients.calls.slots, self._instance, upstream, permit)

    def _count(self, status: int) -> None:
        now = time.monotonic()
        self._clients.calls.metrics.call_ended(self._route.name, status, now - self._started)
        if self._permit is not None:
            self._release_permit(now)

    def _release_permit(self, now: float) -> None:
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.release(now)

    # --- what the connection says (`ClientConnection`)

    def _left(self, state: int) -> None:
        if state == WAITING:
            self._leave_queue()
        elif self._upstream is not None:
            self._take_held().abandon(self._version.timeout_s)
        elif self._task is not None:
            self._task.cancel()
        self._count(CLIENT_GONE)

    def _call_late(self) -> None:
        calls = self._clients.calls
        if self._state == WAITING:
            self._leave_queue()
            self._refuse(calls.no_instance(self._route.name), self._route.name)
        elif self._state == IN_FLIGHT and self._upstream is not None:  # else its connection is being made,
            held = self._take_held()  # which has a limit of its own
            self._fail(calls.timed_out(self._route.name, held, self._version.timeout_s))

    def _pause_answer(self) -> None:
        if self._upstream is not None:
            self._upstream.pause_reading()

    def _resume_answer(self) -> None:
        if self._upstream is not None:
            self.deadline = time.monotonic() + self._version.timeout_s
            self._upstream.resume_reading()
