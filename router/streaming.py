"""The streaming path: a call as an aiohttp handler, with the full semantics of HTTP/1.1.

Admit, take a slot, exchange, give the slot back. Every way in which a call can go wrong ends in
`Call._failed`, where it is decided what becomes of the slot, the connection and the client.
"""

import asyncio
import functools
import time
from collections.abc import Callable
from typing import NoReturn

from aiohttp import web
from msgspec import structs

from plat.errors import PlatError
from plat.feed import Route, RouteVersion
from plat.web import call_id_of, problem_response
from router.access.cors import Page, is_preflight, page_of, preflight_headers
from router.access.signed_bodies import SignedBodies
from router.calls import CLIENT_GONE, SEES_AUTHORIZATION, Calls, Held
from router.exchange import Exchange, Sent, SilenceError, request_headers
from router.http1 import BadResponseError, Headers, write_request_head
from router.idempotency.key import is_keyed
from router.limits.answers import line_pairs
from router.limits.permits import PermitBucket
from router.pace import LeastRate
from router.request_body import EarlyBody, read_early
from router.slots import InstanceSlots
from router.target import Target, parse_target
from router.tunnel import run_tunnel
from router.upstream import ConnectionLostError, ShortageError, UnreachableError, UpstreamConnection


class Streaming:
    """The handler of calls that come by aiohttp."""

    def __init__(
        self, calls: Calls, least_rate: LeastRate, keyed: Callable[..., "Call"] | None = None
    ) -> None:
        self._calls = calls
        self._plain: Callable[..., Call] = functools.partial(Call, calls, least_rate)
        self._keyed = keyed or self._plain
        """Makes calls that have an idempotency key."""
        self._signed = SignedBodies(calls.admission.body_limit_bytes, least_rate)

    def _preflight(self, request: web.BaseRequest, path: str) -> web.Response | None:
        """The answer to a page that asks whether it may call; None: the request is none, or the function's.

        It is no call: it needs no token, takes no slot and counts in no limit. Raises PlatError.
        """
        if not is_preflight(request.method, request.headers):
            return None
        route = self._calls.admission.routes.get(parse_target(path).name)
        page = page_of(route, request.headers)
        if route is None or page is None:
            return None
        call_id = call_id_of(request)
        headers = preflight_headers(page, request.headers, call_id)
        is_allowed = not isinstance(headers, PlatError)
        self._calls.metrics.preflight(route.name, "allowed" if is_allowed else "refused")
        if isinstance(headers, PlatError):
            return problem_response(headers, call_id)
        return web.Response(status=204, headers=headers)

    async def handle(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """A call's answer, or a preflight's."""
        try:
            answer = self._preflight(request, path)
        except PlatError as error:
            answer = problem_response(error, call_id_of(request))
        return await self._called(request, path) if answer is None else answer

    async def _called(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        started = time.monotonic()
        call_id = call_id_of(request)
        name, status, page = "", CLIENT_GONE, None
        response: web.StreamResponse
        try:
            target = parse_target(path)
            name = target.name
            route = self._calls.admission.routes.get(name)
            page = page_of(route, request.headers)
            if route is None or route.signing is None:
                response = await self._call(request, target, call_id, page)
            else:
                async with self._signed.verified(request, route.signing) as body:
                    target = structs.replace(target, signed=route.signing)
                    response = await self._call(request, target, call_id, page, body)
            status = response.status
        except PlatError as error:
            status = error.status
            if error.code == "bad_signature":
                self._calls.metrics.bad_signature(name, error.reason or "")
            response = problem_response(error, call_id)
            if error.code in _CUTS_BODY or request.content.exception() is not None:
                response.force_close()
        finally:
            function = self._calls.function_label(name)
            self._calls.metrics.call_ended(function, status, time.monotonic() - started)
        if page is not None and not isinstance(response, Sent):
            page.rewrite(response.headers)
        return response

    async def _call(
        self,
        request: web.BaseRequest,
        target: Target,
        call_id: str,
        page: Page | None,
        body: EarlyBody | None = None,
    ) -> web.StreamResponse:
        """`body`, if it was read already. Raises PlatError."""
        terms, permit, lines = await self._calls.admitted(target, request.headers.get("Authorization"))
        make = self._keyed if is_keyed(request) else self._plain
        call = make(request, target, terms.route, terms.version, call_id)
        call.caller = None if terms.identity is None else terms.identity.id
        call.told = line_pairs(lines)
        call.permit = permit
        call.page = page
        try:
            self._calls.admission.check_length(request.content_length)
            return await call.run(body)
        finally:
            call.release_permit()


class Call:
    """One call on its way. What it holds (slot, connection) is let go of in one place each."""

    def __init__(
        self,
        calls: Calls,
        least_rate: LeastRate,
        request: web.BaseRequest,
        target: Target,
        route: Route,
        version: RouteVersion,
        call_id: str,
    ) -> None:
        self._calls = calls
        self._least_rate = least_rate
        self._request = request
        self._target = target
        self._route = route
        self._version = version
        self._call_id = call_id
        self.permit: PermitBucket | None = None
        self.page: Page | None = None
        self.told: Headers = []
        """What the answer says of the call's limits."""
        self.caller: str | None = None
        """None: anybody may call."""

    async def run(self, body: EarlyBody | None) -> web.StreamResponse:
        if body is None:
            body = await read_early(self._request, self._calls.admission.body_limit_bytes)
        is_retry = False
        while True:
            instance, upstream = await self._instance_and_connection()
            exchange = self._exchange_over(upstream)
            permit, self.permit = self.permit, None
            held = Held(self._calls.slots, instance, upstream, permit)
            try:
                return await self._exchange(exchange, held, body)
            except BaseException as error:
                if is_retry or not body.whole or not self._may_retry(error, upstream):
                    await self._failed(error, exchange, held)
            self.permit = held.take_permit()
            held.lost()
            is_retry = True

    def release_permit(self) -> None:
        """Unless an attempt has it, which releases it when it has ended."""
        permit, self.permit = self.permit, None
        if permit is not None:
            permit.release(time.monotonic())

    def _may_retry(self, error: BaseException, upstream: UpstreamConnection) -> bool:
        lost = isinstance(error, ConnectionLostError)
        return lost and self._calls.may_retry(self._route.name, self._request.method, upstream)

    async def _exchange(self, exchange: Exchange, held: Held, body: EarlyBody) -> Sent:
        head = await exchange.start(self._request_head(), body)
        if self.told:
            head = head._replace(headers=[*head.headers, *self.told])
        if head.status == 101:
            response = await run_tunnel(self._request, held.upstream, head, self._call_id)
            held.complete()
            return response
        if self.page is not None:
            head = head._replace(headers=self.page.rewritten(head.headers))
        return await exchange.forward(head, self._call_id, held.complete)

    # --- before

    def _exchange_over(self, upstream: UpstreamConnection) -> Exchange:
        return Exchange(
            self._request,
            upstream,
            silence_s=self._version.timeout_s,
            body_limit_bytes=self._calls.admission.body_limit_bytes,
            least_rate=self._least_rate,
        )

    async def _instance_and_connection(self) -> tuple[InstanceSlots, UpstreamConnection]:
        """A slot and a connection to its instance. An instance out of reach costs another attempt."""
        arrived = time.monotonic()
        deadline = arrived + self._calls.queue_timeout_s
        while True:
            instance = await self._slot(deadline)
            try:
                upstream = await self._calls.connection(instance)
            except ShortageError as error:
                self._calls.slots.release(instance, time.monotonic())
                raise self._calls.no_connection(self._route.name, error) from error
            except UnreachableError:
                self._calls.metrics.upstream_error(self._route.name, "unreachable")
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
        waiter = slots.wait(version_id, time.monotonic(), loop.create_future)
        if isinstance(waiter, PlatError):
            raise waiter.with_traceback(None)
        timer = loop.call_later(
            deadline - time.monotonic(), waiter.fail, self._calls.no_instance(self._route.name)
        )
        try:
            return await waiter.future
        except BaseException:
            slots.leave(version_id, waiter, time.monotonic())
            raise
        finally:
            timer.cancel()

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
        """Client headers that the platform replaces, and its own tokens, which no function may see."""
        authorization = self._request.headers.get("Authorization", "")
        if self._route.auth in SEES_AUTHORIZATION and not self._calls.pool.identities.is_ours(authorization):
            return _REPLACED
        return _REPLACED | {b"authorization"}

    # --- after

    async def _failed(self, error: BaseException, exchange: Exchange, held: Held) -> NoReturn:
        """What went wrong decides: is the slot free, when, and what is the client told?"""
        calls, name, timeout_s = self._calls, self._route.name, self._version.timeout_s
        match error:
            case SilenceError():
                failure = calls.timed_out(name, held, timeout_s)
            case ConnectionLostError():
                failure = await calls.crashed(name, held)
            case BadResponseError():
                failure = calls.bad_response(name, held, timeout_s, error)
            case _:
                held.abandon(timeout_s)
                await exchange.stop_upload()
                if exchange.answered and isinstance(error, PlatError):
                    self._cut_client(error)
                raise error
        await exchange.stop_upload()
        if exchange.answered:
            self._cut_client(failure)
        raise failure from error

    def _cut_client(self, failure: PlatError) -> NoReturn:
        """Half an answer is out: the only honest end is to cut the connection, so that it shows."""
        if self._request.transport is not None:
            self._request.transport.abort()
        raise ConnectionResetError("the answer was cut") from failure


_CUTS_BODY = frozenset({"body_too_large", "request_timeout", "too_many_bodies"})
"""Errors after which the rest of the client's body is not waited for."""

_REPLACED = frozenset(
    {b"x-deadline-ms", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-prefix"}
)
