"""The pool process: puts the parts together, serves the pool's pages, and stops in order."""

import asyncio
import os
import random
import time
from collections.abc import Iterable

import msgspec
from aiohttp import web

from plat.artifacts import FolderArtifacts
from plat.errors import PlatError
from plat.feed import FromRouter, Hello, KeyRequest, Lease, TokensUsed, VersionEntry
from plat.logs import get_logger
from plat.model import DecisionList, InstanceList
from plat.parts import SLICE
from plat.settings import Settings
from plat.tasks import cancel, spawn
from plat.web import json_response, problems, start_site
from pool.code import CodeCache
from pool.dispatch import Dispatcher
from pool.drivers.base import Driver, Listener, Written
from pool.drivers.choice import choose_driver, make_driver
from pool.drivers.leftovers import stop_leftovers
from pool.feed import RouterLinks, follow_control
from pool.fleet import Fleet
from pool.keys import Keys
from pool.launcher import Launcher
from pool.leases import Leases
from pool.ledger import Ledger
from pool.lifecycle import State
from pool.listing import Listing
from pool.logbook import LogBook
from pool.metrics import PoolMetrics
from pool.news import News
from pool.processor_watch import ProcessorWatch
from pool.sole import sole_pool
from pool.table import FunctionTable
from pool.tokens import UsedTokens
from pool.warm import WarmStock
from pool.warm_targets import WarmTargets

log = get_logger(__name__)

TICK_S = 0.25
LIST_AGAIN_S = 60.0
"""Even without a gap the machine is listed this often: whatever was missed is found."""

PRUNE_S = 600.0
LIST_RETRY_S = (0.2, 5.0)
STOP_GRACE_S = 5.0
LOG_TAIL_DEFAULT = 100
LOG_TAIL_LIMIT = 10_000

MEMORY_SHARE = 0.9
"""Of the machine's memory, for instances, where no setting says otherwise."""


class Pool:
    """All parts of the pool."""

    def __init__(self, settings: Settings, driver: Driver) -> None:
        self._settings = settings
        self._driver = driver
        self._metrics = PoolMetrics()
        self._links = RouterLinks()
        self._list_again = asyncio.Event()
        self._listed = False
        artifacts = FolderArtifacts(settings.data_dir / "artifacts")
        ledger = Ledger()
        self.table = FunctionTable()
        self.logbook = LogBook(settings.data_dir / "logs")
        self.code = CodeCache(artifacts, settings.data_dir / "code")
        launcher = Launcher(driver, self.code, self.logbook)
        targets = WarmTargets(settings.warm, settings.warm_limit)
        self.stock = WarmStock(driver, targets, settings.start_timeout_s)
        self.stock.made = self._warm_made
        self.fleet = Fleet(driver, launcher, self.stock, ledger, self._metrics, settings.start_timeout_s)
        self.dispatcher = Dispatcher(
            self.table,
            self.fleet,
            ledger,
            send=self._links.send,
            send_table=self._links.send_table,
            routers=self._links.names,
            expected_routers=settings.routers,
            memory_mb=settings.memory_mb or int(machine_memory_mb() * MEMORY_SHARE),
            learned=settings.keep_alive == "learned",
        )
        self.dispatcher.scaler.starts_are_held = True
        self.watch = ProcessorWatch(driver, self.dispatcher.scaler)
        changed = self.dispatcher.routes_changed
        self._listing = Listing(driver, self.table, self.fleet, self.stock, changed)
        self._news = News(self.table, self.dispatcher, self.logbook.drop)
        self._leases = Leases(settings.routers, time.monotonic())
        self._keys = Keys(settings.routers, settings.idempotency_memory_bytes, time.monotonic())
        self._used = UsedTokens()
        self._links.received = self._received
        self._links.away = self._router_away
        self._metrics.watch(self._states)
        self._metrics.watch_keys(self._keys.records)

    # --- loops

    async def follow_control(self) -> None:
        await follow_control(self._settings.control, self._news.hear, self._used)

    async def keep_listed(self) -> None:
        """List the machine at the start, after every gap, and now and then. For ever."""
        await self._news.loaded.wait()
        wait_s = LIST_RETRY_S[0]
        while True:
            self._list_again.clear()
            try:
                await self._listing.look()
                self._listed = True
                self.dispatcher.scaler.starts_are_held = False
                self.fleet.backoff.forget_code("engine_unavailable")
                wait_s = LIST_RETRY_S[0]
            except Exception as error:
                expected = isinstance(error, PlatError)
                log.warning("the machine cannot be listed", detail=str(error), exc_info=not expected)
                await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311 - jitter, no secret
                wait_s = min(wait_s * 2, LIST_RETRY_S[1])
                continue
            try:
                async with asyncio.timeout(LIST_AGAIN_S):
                    await self._list_again.wait()
            except TimeoutError:
                continue

    async def keep_pruned(self) -> None:
        """Remove the unpacked code of versions that are gone, now and then. For ever."""
        await self._news.loaded.wait()
        while True:
            await asyncio.sleep(PRUNE_S)
            self.fleet.backoff.keep(self.table.versions)
            try:
                await self.code.prune(self._digests)
            except OSError as error:
                log.warning("code cannot be pruned now", error=str(error))

    async def _digests(self) -> set[str]:
        """Of all code that may be needed; others have their turn while many versions are gone through."""
        used: set[str] = set()
        for number, version in enumerate(list(self.table.versions.values())):
            used.add(version.digest)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return used | {member.version.digest for member in self.fleet.members()}

    async def tick(self) -> None:
        """What time alone changes. For ever: one tick that fails is logged, and is not the last."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self._tick()
            except Exception as error:
                log.error("a tick failed", exc_info=error)

    async def _tick(self) -> None:
        for _ in self.dispatcher.tick():
            await asyncio.sleep(0)
        if self._listed:
            self.dispatcher.machine_listed()
        self._refill()

    def _warm_made(self) -> None:
        """Calls that wait for a start come first."""
        self.dispatcher.rebalance_waiting()
        self._refill()

    def _refill(self) -> None:
        """Warm instances of the kinds that live functions are of."""
        if self.fleet.closing or not self._listed:
            return
        now = time.monotonic()
        self.stock.targets.know(self.table.kinds)
        scaler = self.dispatcher.scaler
        self.stock.refill(now, 0 if scaler.calls_are_short else scaler.room.free_mb())

    async def open(self) -> None:
        await self._driver.open(self.listener())

    async def close(self) -> None:
        await self.code.close()
        await self._driver.close()
        await self.logbook.close()

    # --- what others say

    def _received(self, router: str, message: FromRouter) -> None:
        match message:
            case TokensUsed(at):
                self._used.note(at)
            case Lease():
                self._links.send(router, self._leases.answer(router, message, time.monotonic()))
            case KeyRequest():
                self._links.send(router, self._keys.answer(message, time.monotonic()))
            case _:
                if isinstance(message, Hello):
                    self._keys.router_here(router, message.claims, time.monotonic())
                    self._leases.router_here(router, leased=message.leased)
                self.dispatcher.received(router, message)

    def _router_away(self, router: str) -> None:
        self._keys.router_away(router)
        self.dispatcher.router_away(router)

    def listener(self) -> Listener:
        return Listener(
            exited=self.fleet.exited,
            changed=self._list_again.set,
            wrote=self._wrote,
            last_written=self.logbook.last_written,
        )

    def _wrote(self, written: Written) -> None:
        """Also of instances that are not adopted yet, or that ended while no pool ran."""
        if written.function:
            self.logbook.append(written.function, written.number, written)
        else:
            log.info("a warm instance wrote", instance=written.instance, line=written.message)

    def _states(self) -> Iterable[tuple[str, str]]:
        """Function and state of each instance, for the metrics."""
        yield from ((each.version.function, each.state) for each in self.fleet.members())
        yield from (("", State.WARM) for _ in self.stock.known())

    # --- pages

    def app(self) -> web.Application:
        app = web.Application(middlewares=[problems])
        app.add_routes(
            [
                web.get("/feed", self._links.serve),
                web.post("/verify", self._verify),
                web.get("/instances", self._instances),
                web.get("/decisions", self._decisions),
                web.get("/logs", self._logs),
                web.get("/metrics", self._exposition),
                web.get("/healthz", self._healthz),
            ]
        )
        return app

    async def _verify(self, request: web.Request) -> web.Response:
        """Start an instance of a version that is to go live; answers when it is ready."""
        version = msgspec.json.decode(await request.read(), type=VersionEntry)
        if self.fleet.closing:
            raise PlatError("shutting_down", "The platform is shutting down.")
        self.dispatcher.scaler.begin_trial(version)
        try:
            error = await self.fleet.start(version)
        finally:
            self.dispatcher.scaler.end_trial(version)
        if error is not None:
            raise error
        return json_response({})

    async def _instances(self, request: web.Request) -> web.Response:
        return json_response(InstanceList(self.fleet.views(request.query["function"])))

    async def _decisions(self, request: web.Request) -> web.Response:
        return json_response(DecisionList(self.dispatcher.scaler.decisions.of(request.query["function"])))

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        tail = min(int(request.query.get("tail", LOG_TAIL_DEFAULT)), LOG_TAIL_LIMIT)
        follow = request.query.get("follow") == "true"
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        encoder = msgspec.json.Encoder()
        async for line in self.logbook.read(request.query["function"], tail=tail, follow=follow):
            await response.write(encoder.encode(line) + b"\n")
        await response.write_eof()
        return response

    async def _exposition(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.exposition(), content_type="text/plain")

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    # --- the end

    async def stop_instances(self) -> None:
        """The routers have drained and gone: what still runs has nobody waiting for it.

        Also what a pool before this one started, if this one is ended before it has looked.
        """
        grace_s = min(STOP_GRACE_S, self._settings.drain_s)
        await self.fleet.stop_all(grace_s)
        if not self._listed:
            try:
                await stop_leftovers(self._driver, grace_s)
            except PlatError as error:
                log.error("instances may be left", detail=error.detail)


def machine_memory_mb() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024**2


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run the pool until `stop`; then every instance is stopped.

    Raises PlatError or OSError if it cannot start.
    """
    with sole_pool(settings.data_dir):
        await _serve(settings, stop)


async def _serve(settings: Settings, stop: asyncio.Event) -> None:
    name = await choose_driver(settings)
    pool = Pool(settings, make_driver(settings, name))
    await pool.open()
    runner = await start_site(pool.app(), settings.pool)
    loops = [
        spawn(pool.follow_control(), "follow control"),
        spawn(pool.keep_listed(), "list the machine"),
        spawn(pool.keep_pruned(), "prune code"),
        spawn(pool.tick(), "pool tick"),
        spawn(pool.watch.run(), "watch the processors"),
    ]
    log.info("pool ready", driver=name)
    try:
        await stop.wait()
        await cancel(*loops)
        await pool.stop_instances()
    finally:
        await cancel(*loops)
        await runner.cleanup()
        await pool.close()
