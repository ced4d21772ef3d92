"""One router process: puts the parts together, listens, and stops in order."""

import asyncio
import gc
import re
import secrets
import time
from collections import Counter
from typing import TYPE_CHECKING

from aiohttp import web

from plat.address import Address
from plat.errors import PlatError
from plat.logs import get_logger
from plat.settings import Settings
from plat.tasks import cancel, spawn
from plat.web import call_id_of, problem_response, start_site
from router import compiled, memory
from router.access.bearers import Bearers, NoBearers
from router.admission import Admission
from router.ahead import Ahead
from router.calls import Calls
from router.client_connection import IDLE_S
from router.clients import Clients
from router.control import ControlProxy, is_control
from router.downstream import ClientServer
from router.fastpath import FastConnection
from router.feed import PoolLink
from router.idempotency.calls import keyed_calls
from router.idempotency.keys import Idempotency
from router.idempotency.store import key_store_of
from router.limits.lease_store import store_of
from router.limits.leases import Leasing
from router.limits.limiter import Limiter
from router.metrics import Metrics
from router.pace import LeastRate
from router.streaming import Streaming
from router.target import FUNCTION_PREFIX, origin_form

if TYPE_CHECKING:
    from router.access.jwks import Jwks

log = get_logger(__name__)

TICK_S = 0.25
REPORT_USED_S = 60.0
"""How often the pool is told which tokens were used."""

HOLD_S = 5.0
"""Idle slots are kept this long, or half of the function's `idle_s` if that is less."""

BACKLOG = 1024

READ_BUFFER_BYTES = 64 * 1024
"""Of a client's body; reading pauses at twice that. A client that waits with a large body costs 310 KB, 64 of
them its beginning; with aiohttp's default (256 KB) 430 more. 100 MB through it cost 75 ms of CPU, with the
default 60."""

_HOST = re.compile(r"[0-9A-Za-z\-._~!$&'()*+,;=:%\[\]]{0,255}")
"""The bytes of host and port (RFC 3986, 3.2.2)."""


class Router:
    """All parts of one router process."""

    def __init__(self, settings: Settings, index: int) -> None:
        name = f"router-{index}-{secrets.token_hex(4)}"
        self._limiter = Limiter(index, settings.routers)
        self._metrics = Metrics()
        self._bearers, self._jwks = bearers(settings)
        if self._jwks is not None:
            self._metrics.jwks_fetches = self._jwks.fetches
        self.link = PoolLink(name, settings.pool, clock=time.monotonic, queue_limit=settings.queue_limit)
        calls = Calls(
            admission=Admission(
                self.link.routes,
                self.link.identities,
                self._limiter,
                settings.body_limit_bytes,
                self._bearers,
            ),
            slots=self.link.slots,
            pool=self.link,
            metrics=self._metrics,
            queue_timeout_s=settings.queue_timeout_s,
            send_timeout_s=settings.send_timeout_s,
        )
        ahead = Ahead(self.link.loaded)
        self.link.granted = ahead.granted
        self.link.ended = ahead.ended
        self.link.appeared = self._appeared
        store = store_of(settings.redis_url, self.link)
        self.leasing = Leasing(name, self._limiter, store, self._metrics, clock=time.monotonic)
        self.link.was_leased = self.leasing.was_leased
        self.idempotency = Idempotency(
            key_store_of(settings.redis_url, self.link),
            self._metrics,
            keep_s=settings.idempotency_ttl_s,
            clock=time.monotonic,
        )
        self.link.claims = self.idempotency.claims
        least_rate = LeastRate(settings.body_min_bytes_per_s, settings.body_grace_s)
        keyed = keyed_calls(calls, self.idempotency, settings.idempotency_body_limit_bytes, least_rate)
        self._streaming = Streaming(calls, least_rate, keyed)
        self.server = ClientServer(
            self.handle,
            send_timeout_s=settings.send_timeout_s,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            keepalive_timeout=IDLE_S,
            read_bufsize=READ_BUFFER_BYTES,
        )
        self.clients = Clients(calls, self.server, settings.connection_limit)
        self._set_clock()
        upload_limit_bytes = max(settings.body_limit_bytes, settings.archive_limit_bytes)
        self._control = ControlProxy(settings.control, upload_limit_bytes, least_rate)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if (detail := _misread(request)) is not None:
            return _refused(request, PlatError("bad_request", detail))
        path = origin_form(request.raw_path)
        if len(request.headers.getall("Host", ())) != 1 and request.version >= (1, 1):
            error = PlatError("bad_request", "The request needs exactly one Host header.")
            return problem_response(error, call_id_of(request))
        if path.startswith(FUNCTION_PREFIX):
            return await self._streaming.handle(request, path)
        if is_control(path):
            return await self._control.handle(request, path)
        error = PlatError("not_found", "Functions are at /function/<name>, the API is at /v1/functions.")
        return problem_response(error, call_id_of(request))

    async def tick(self) -> None:
        """Give back what is idle, and forget what is gone. For ever."""
        report_at = 0.0
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            if now >= report_at:
                report_at = now + REPORT_USED_S
                self.link.report_used()
            self.link.return_idle(self._hold_s)
            self.link.slots.close_parked(now)
            self.link.slots.forget_empty()
            self._limiter.tick(now, self.link.routes.__contains__)
            self.clients.tick(now)
            self._set_clock()

    def _set_clock(self) -> None:
        """Tokens end by the machine's clock, which may be set at any time."""
        self.link.identities.epoch_s = self._bearers.epoch_s = self.clients.epoch_s

    async def keep_keys(self) -> None:
        """Fetch the keys of JSON Web Tokens, if they come from somewhere. For ever, or not at all."""
        if self._jwks is not None:
            await self._jwks.run()

    async def drain(self, drain_s: float) -> None:
        """Calls in flight finish, for `drain_s` seconds at most. Nothing listens any more."""
        log.info("router stops", in_flight=sum(each.in_flight for each in self.link.slots.versions()))
        self.clients.close()
        try:
            async with asyncio.timeout(drain_s):
                await self.clients.empty.wait()
                await self.idempotency.drained()
        except TimeoutError:
            log.warning("calls are cut: they did not end in time", connections=len(self.clients.connections))
        self.clients.abort()
        await self.idempotency.stop()

    def close(self) -> None:
        """What is left when every call has ended: idle connections to instances."""
        self.link.slots.close()

    def metrics(self) -> str:
        in_flight: Counter[str] = Counter()
        queued: Counter[str] = Counter()
        for version in self.link.slots.versions():
            route = self.link.routes.of_version(version.id)
            if route is not None:
                in_flight[route.name] += version.in_flight
                queued[route.name] += version.waiting
        return self._metrics.exposition(in_flight, queued)

    def _appeared(self, name: str) -> None:
        self._limiter.appeared(name, time.monotonic())

    def _hold_s(self, version_id: str) -> float:
        route = self.link.routes.of_version(version_id)
        return min(HOLD_S, route.idle_s / 2) if route else 0.0


def bearers(settings: Settings) -> tuple[Bearers, "Jwks | None"]:
    """Who has no JSON Web Tokens loads no library for them: 10 MB and 0.1 s."""
    if not (settings.jwt_secret or settings.jwt_public_keys or settings.jwt_jwks_url):
        return NoBearers(), None
    from router.access.jwt_setup import bearers_of  # noqa: PLC0415

    return bearers_of(settings)


def _misread(request: web.BaseRequest) -> str | None:
    """What is wrong with a request that aiohttp reads, but others would read in another way."""
    if request.version < (1, 0):  # the parser takes a request line without a version for HTTP/0.9
        return "The request line names no HTTP version."
    if request.method == "CONNECT":
        return "CONNECT asks for a tunnel, and this is no proxy."
    encodings = [each.lower() for each in request.headers.getall("Transfer-Encoding", ())]
    if encodings not in ([], ["chunked"]):
        return f"The only Transfer-Encoding is chunked, not {', '.join(encodings)!r}."
    if len(request.headers.getall("Authorization", ())) > 1:
        return "The header Authorization is there more than once."
    for host in request.headers.getall("Host", ()):
        if not _HOST.fullmatch(host):
            return f"The Host header {host[:80]!a} names no host."
    return None


def _refused(request: web.BaseRequest, error: PlatError) -> web.Response:
    response = problem_response(error, call_id_of(request))
    response.force_close()
    return response


def admin_app(router: Router) -> web.Application:
    """`/metrics`, `/healthz`, `/readyz` of this process."""

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(text=router.metrics(), content_type="text/plain")

    async def healthz(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        ready = router.link.routes.loaded
        return web.Response(text="ok\n" if ready else "no routes yet\n", status=200 if ready else 503)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    return app


async def serve(settings: Settings, stop: asyncio.Event, *, index: int = 0) -> None:
    """Run one router until `stop`, then let calls in flight finish, for `drain_s` at most.

    Raises OSError if the port cannot be had, PlatError if compiled modules are not those of their sources.
    """
    compiled.check()
    memory.keep_freed()
    router = Router(settings, index)
    leasing = spawn(router.leasing.run(), "leases")
    tasks = [spawn(router.link.run(), "pool link"), spawn(router.tick(), "router tick")]
    tasks.append(spawn(router.keep_keys(), "fetch JWKS keys"))
    tasks.append(spawn(router.idempotency.run(), "idempotency keys"))
    runner = web.ServerRunner(router.server, handle_signals=False, shutdown_timeout=settings.drain_s)
    admin = await start_site(admin_app(router), Address(path=str(settings.run_dir / f"router-{index}.sock")))
    await runner.setup()
    listener = None
    try:
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            lambda: FastConnection(router.clients),
            settings.host,
            settings.port,
            reuse_port=True,
            backlog=BACKLOG,
        )
        log.info("router ready", host=settings.host, port=settings.port, compiled=compiled.is_compiled())
        gc.collect()
        gc.freeze()  # what is here now stays: the collector need never look at it again
        await stop.wait()
    finally:
        if listener is not None:
            listener.close()
        await router.drain(settings.drain_s)
        await runner.cleanup()
        router.close()
        await cancel(leasing)
        await router.leasing.give_back()
        await cancel(*tasks)
        await router.idempotency.close()
        await admin.cleanup()
