"""The streaming path: a call as an aiohttp handler, with the full semantics of HTTP/1.1.

Admit, take a slot, exchange, give the slot back. Every way in which a call can go wrong ends in
`_Call._failed`, where it is decided what becomes of the slot, the connection and the client.
"""

import asyncio
import time
from typing import NoReturn

from aiohttp import web

from plat.address import Address
from plat.errors import PlatError
from plat.feed import Route, RouteVersion
from plat.logs import get_logger
from plat.tasks import spawn
from plat.web import call_id_of, problem_response
from router.admission import Admission
from router.exchange import Exchange, Sent, SilenceError, read_early, request_headers
from router.feed import PoolLink
from router.http1 import BadResponseError, Headers, write_request_head
from router.metrics import Metrics
from router.routes import Target, parse_target
from router.slots import InstanceSlots, SlotTable
from router.tunnel import run_tunnel
from router.upstream import ConnectionLostError, UnreachableError, UpstreamConnection, connect

log = get_logger(__name__)

CLIENT_GONE = 499
"""Counted as the status of a call whose client left (nginx's number; nobody is there to read it)."""

OBITUARY_WAIT_S = 1.0
"""How long a call whose instance died waits to be told why."""


class Calls:
    """Everything that calls share; `handle` is the way in."""

    def __init__(
        self,
        *,
        admission: Admission,
        slots: SlotTable,
        pool: PoolLink,
        metrics: Metrics,
        queue_timeout_s: float,
    ) -> None:
        self.admission = admission
        self.slots = slots
        self.pool = pool
        self.metrics = metrics
        self.queue_timeout_s = queue_timeout_s

    async def handle(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        started = time.monotonic()
        call_id = call_id_of(request)
        function, status = "", CLIENT_GONE
        try:
            target = parse_target(path)
            route, version = self._admit(request, target)
            function = route.name
            response = await _Call(self, request, target, route, version, call_id).run()
            status = response.status
        except PlatError as error:
            status = error.status
            response = problem_response(error, call_id)
            if error.code in ("body_too_large", "request_timeout"):
                response.force_close()
        finally:
            self.metrics.call_ended(function, status, time.monotonic() - started)
        return response

    def _admit(self, request: web.BaseRequest, target: Target) -> tuple[Route, RouteVersion]:
        authorization = request.headers.get("Authorization")
        try:
            route, version = self.admission.admit(target, authorization, time.monotonic())
        except PlatError as error:
            if error.code == "rate_limited":
                self.metrics.rate_limited(target.name)
            raise
        self.admission.check_length(request.content_length)
        return route, version


class _Call:
    """One call on its way. What it holds (slot, connection) is let go of in one place each."""

    def __init__(
        self,
        calls: Calls,
        request: web.BaseRequest,
        target: Target,
        route: Route,
        version: RouteVersion,
        call_id: str,
    ) -> None:
        self._calls = calls
        self._request = request
        self._target = target
        self._route = route
        self._version = version
        self._call_id = call_id

    async def run(self) -> web.StreamResponse:
        body = await read_early(self._request, self._calls.admission.body_limit_bytes)
        instance, upstream = await self._instance_and_connection()
        exchange = Exchange(
            self._request,
            upstream,
            silence_s=self._version.timeout_s,
            body_limit_bytes=self._calls.admission.body_limit_bytes,
        )
        held = _Held(self._calls.slots, instance, upstream)
        try:
            return await self._exchange(exchange, held, body)
        except BaseException as error:
            await self._failed(error, exchange, held)

    async def _exchange(self, exchange: Exchange, held: "_Held", body: bytes | None) -> Sent:
        head = await exchange.start(self._request_head(), body)
        if head.status == 101:
            response = await run_tunnel(self._request, held.upstream, head, self._call_id)
            held.complete()
            return response
        return await exchange.forward(head, self._call_id, held.complete)

    # --- before

    async def _instance_and_connection(self) -> tuple[InstanceSlots, UpstreamConnection]:
        """A slot and a connection to its instance. An instance out of reach costs another attempt."""
        arrived = time.monotonic()
        deadline = arrived + self._calls.queue_timeout_s
        while True:
            instance = await self._slot(deadline)
            try:
                upstream = await _connection(instance)
            except UnreachableError as error:
                log.warning("instance unreachable", instance=instance.id, detail=str(error))
                self._calls.metrics.upstream_error(self._route.name, "unreachable")
                self._calls.slots.fault(instance, "unreachable")
            except BaseException:
                self._calls.slots.release(instance, time.monotonic())
                raise
            else:
                self._calls.metrics.queued(time.monotonic() - arrived)
                return instance, upstream

    async def _slot(self, deadline: float) -> InstanceSlots:
        slots, version_id = self._calls.slots, self._version.id
        instance = slots.take(version_id, time.monotonic())
        if instance is not None:
            return instance
        loop = asyncio.get_running_loop()
        future: asyncio.Future[InstanceSlots] = loop.create_future()
        waiter = slots.wait(version_id, future)
        timer = loop.call_later(deadline - time.monotonic(), waiter.fail, self._no_instance())
        try:
            return await future
        except BaseException:
            slots.leave(version_id, waiter, time.monotonic())
            raise
        finally:
            timer.cancel()

    def _no_instance(self) -> PlatError:
        waited = self._calls.queue_timeout_s
        return PlatError(
            "no_instance",
            f'No instance of "{self._route.name}" was free within {waited:g} s.',
            retry_after_s=1,
        )

    def _request_head(self) -> bytes:
        request = self._request
        deadline_ms = int((time.time() + self._version.timeout_s) * 1000)
        peer = (request.remote or "").encode()
        forwarded_for = request.headers.get("X-Forwarded-For")
        chain = forwarded_for.encode("utf-8", "surrogateescape") + b", " + peer if forwarded_for else peer
        extra: Headers = [
            (b"X-Deadline-Ms", str(deadline_ms).encode()),
            (b"X-Forwarded-For", chain),
            (b"X-Forwarded-Host", request.headers.get("Host", "").encode("utf-8", "surrogateescape")),
            (b"X-Forwarded-Proto", request.scheme.encode()),
            (b"X-Forwarded-Prefix", self._target.prefix.encode("utf-8", "surrogateescape")),
        ]
        headers = request_headers(request, self._call_id, extra, self._left_out())
        return write_request_head(request.method, self._target.path, headers)

    def _left_out(self) -> frozenset[bytes]:
        """Client headers that the platform replaces, and its own token, which no function may see."""
        return _REPLACED if self._route.auth == "public" else _REPLACED | {b"authorization"}

    # --- after

    async def _failed(self, error: BaseException, exchange: Exchange, held: "_Held") -> NoReturn:
        """What went wrong decides: is the slot free, when, and what is the client told?"""
        name = self._route.name
        match error:
            case SilenceError():
                self._calls.metrics.upstream_error(name, "timeout")
                held.fault("timeout")
                failure = PlatError(
                    "timeout", f'"{name}" did not answer within {self._version.timeout_s:g} s.'
                )
            case ConnectionLostError():
                self._calls.metrics.upstream_error(name, "crashed")
                failure = await self._crash(held)
            case BadResponseError():
                self._calls.metrics.upstream_error(name, "bad_response")
                held.abandon(self._version.timeout_s)
                failure = PlatError("bad_response", f'"{name}" sent an answer that is not HTTP/1.1: {error}.')
            case _:
                held.abandon(self._version.timeout_s)
                await exchange.stop_upload()
                raise error
        await exchange.stop_upload()
        if exchange.answered:
            self._cut_client()
        raise failure from error

    async def _crash(self, held: "_Held") -> PlatError:
        instance = held.instance
        try:
            gone = await self._calls.pool.obituary(instance.id, OBITUARY_WAIT_S)
        finally:
            held.lost()
        name = self._route.name
        if gone is None:
            detail, reason = (
                f'An instance of "{name}" closed the connection before it had answered.',
                "closed",
            )
        else:
            detail, reason = f'An instance of "{name}" ended during the call. {gone.detail}', gone.reason
        return PlatError("instance_crashed", detail, reason=reason)

    def _cut_client(self) -> NoReturn:
        """Half an answer is out: the only honest end is to cut the connection, so that it shows."""
        if self._request.transport is not None:
            self._request.transport.abort()
        raise ConnectionResetError("the answer was cut")


_REPLACED = frozenset(
    {b"x-deadline-ms", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-prefix"}
)


class _Held:
    """The slot and the connection of a call: let go of exactly once."""

    def __init__(self, slots: SlotTable, instance: InstanceSlots, upstream: UpstreamConnection) -> None:
        self._slots = slots
        self._let_go = False
        self.instance = instance
        self.upstream = upstream

    def complete(self) -> None:
        """The answer is complete: the connection is idle again if both sides keep it."""
        if not self._first():
            return
        if self.upstream.reusable and not self.instance.gone:
            self.upstream.finish()
            self.instance.connections.append(self.upstream)
        else:
            self.upstream.close()
        self._slots.release(self.instance, time.monotonic())

    def lost(self) -> None:
        """The connection ended by itself: what was in it has ended with it."""
        if self._first():
            self.upstream.close()
            self._slots.release(self.instance, time.monotonic())

    def fault(self, reason: str) -> None:
        """The call still runs in the instance, which must be replaced."""
        if self._first():
            self.upstream.close()
            self._slots.fault(self.instance, reason)

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

    def _first(self) -> bool:
        first, self._let_go = not self._let_go, True
        return first


async def _connection(instance: InstanceSlots) -> UpstreamConnection:
    """The instance's idle connection used last, or a new one."""
    while instance.connections:
        upstream = instance.connections.pop()
        if isinstance(upstream, UpstreamConnection) and not upstream.closed:
            return upstream
    return await connect(Address.parse(instance.address))
