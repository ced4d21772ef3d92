"""A pool for one test: speaks `plat.feed` over a real socket, and grants what the test gave it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import msgspec
from aiohttp import web

from plat.address import Address
from plat.feed import (
    Demand,
    Faulted,
    FromRouter,
    Gone,
    Grant,
    Hello,
    KeyRequest,
    KeyVerdict,
    Lease,
    Leased,
    Returned,
    Route,
    RoutePut,
    RouteVersion,
    TokenEntry,
    ToRouter,
    decode_from_router,
    encode,
    whole_table,
)
from plat.idempotency import Records
from plat.leasing import Buckets
from plat.link import accept
from plat.tasks import spawn
from plat.web import start_site
from tests.integration.link_peer import Peer
from tests.integration.router.wire import WAIT_S

T = TypeVar("T", bound=msgspec.Struct)

TOKEN = "the-test-token"


def token_entry(token: str = TOKEN, *scopes: str, expires_at: float | None = None) -> TokenEntry:
    digest = sha256(token.encode()).hexdigest()
    return TokenEntry(f"id-of-{token}", digest, scopes or ("admin",), expires_at)


def route(
    name: str = "f",
    *,
    concurrency: int = 1,
    timeout_s: float = 30.0,
    auth: str = "public",
    rate: float | None = None,
    burst: int | None = None,
    stopped: bool = False,
) -> Route:
    versions = (RouteVersion(f"{name}-1", 1, concurrency, timeout_s),)
    return Route(name, 1, stopped, auth, 0.2, rate, burst, versions)


class Link:
    """One router's connection."""

    def __init__(self, peer: Peer, hello: Hello) -> None:
        self.peer = peer
        self.hello = hello


class PoolServer:
    """`received` has every message of every router, in order; `home` the slots not granted."""

    def __init__(self, path: Path, tokens: list[TokenEntry]) -> None:
        self._address = Address(path=str(path))
        self._tokens = tokens
        self._changed = asyncio.Condition()
        self.routes: dict[str, Route] = {}
        self.received: list[FromRouter] = []
        self.links: list[Link] = []
        self.home: dict[str, int] = {}
        self.addresses: dict[str, tuple[str, str]] = {}
        self.on_demand: Callable[[Demand], list[ToRouter]] = lambda demand: []
        self.before_part: Callable[[int], Awaitable[None]] = _nothing
        """Awaited before each message of the table; raise ConnectionResetError, and the link breaks there."""
        self._totals: dict[str, int] = {}
        self.leases = Buckets(float("-inf"))
        self.keys = Records(float("-inf"), 1_000_000)
        self.answers_keys = True
        self._waiting: dict[tuple[str, str], int] = {}
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/feed", self._serve)
        self._runner = await start_site(app, self._address)

    async def stop(self) -> None:
        """As if killed: every link is cut."""
        runner, self._runner = self._runner, None
        if runner is not None:
            for link in self.links:
                await link.peer.close()
            await runner.cleanup()

    # --- what the test arranges

    async def put(self, *routes: Route) -> None:
        for each in routes:
            self.routes[each.name] = each
            await self.send(RoutePut(each))

    async def add(self, instance: str, address: str, slots: int, version: str = "f-1") -> None:
        """An instance with free slots, for whoever waits."""
        self.addresses[instance] = (version, address)
        self.home[instance] = self._totals[instance] = slots
        await self._serve_waiting()

    async def gone(self, instance: str, reason: str, detail: str) -> None:
        self.home.pop(instance, None)
        await self.send(Gone(instance, reason, detail))

    async def send(self, message: ToRouter) -> None:
        """To every router."""
        for link in self.links:
            link.peer.send(encode(message))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds; looked at after every message and every change of links."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(holds)

    def heard(self, kind: type[T]) -> list[T]:
        return [each for each in self.received if isinstance(each, kind)]

    async def connected(self, routers: int = 1) -> None:
        await self.until(lambda: len(self.links) == routers)

    async def all_home(self, slots: int) -> None:
        """Every slot has come back (the router gives back what is idle by itself)."""
        await self.until(lambda: sum(self.home.values()) == slots)

    # --- the link

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        peer = Peer()
        speaking = spawn(self._speak(peer), "speak to a router")
        try:
            return await accept(request, peer.link)
        finally:
            await speaking

    async def _speak(self, peer: Peer) -> None:
        try:
            hello = decode_from_router(await peer.receive())
            assert isinstance(hello, Hello)
            await self._speak_to(Link(peer, hello))
        except ConnectionResetError:
            peer.link.cut()

    async def _speak_to(self, link: Link) -> None:
        hello = link.hello
        self.home = {instance: self._totals[instance] - self._held(instance, hello) for instance in self.home}
        for number, part in enumerate(whole_table(self._tokens, list(self.routes.values()))):
            await self.before_part(number)
            link.peer.send(encode(part))
        self.links.append(link)
        await self._note(hello)
        try:
            async for message in link.peer:
                await self._receive(link, decode_from_router(message))
        finally:
            self.links.remove(link)
            self._waiting = {key: each for key, each in self._waiting.items() if key[0] != hello.router}
            await self._note(None)

    def _held(self, instance: str, hello: Hello) -> int:
        """By the routers that are connected, of which the last word before this one is `home`."""
        held = {each.instance: each.slots for each in hello.held}.get(instance, 0)
        others = self._totals[instance] - self.home[instance] if self.links else 0
        return held + others

    async def _receive(self, link: Link, message: FromRouter) -> None:
        match message:
            case Demand():
                for answer in self.on_demand(message):
                    link.peer.send(encode(answer))
                self._waiting[link.hello.router, message.version] = message.queued
                await self._serve_waiting()
            case Returned(instance, slots):
                if instance in self.home:
                    self.home[instance] += slots
                await self._serve_waiting()
            case Faulted(instance):
                self.home.pop(instance, None)
            case Lease(number, asks):
                answers = self.leases.lease(link.hello.router, number, asks, time.monotonic())
                link.peer.send(encode(Leased(number, answers)))
            case KeyRequest(number, request):
                verdict = self.keys.answer(request, time.monotonic())
                if self.answers_keys:
                    link.peer.send(encode(KeyVerdict(number, verdict)))
            case _:
                raise AssertionError(message)
        await self._note(message)

    async def _serve_waiting(self) -> None:
        for link in list(self.links):
            for (router, version), queued in list(self._waiting.items()):
                if router == link.hello.router:
                    await self._grant(link, version, queued)

    async def _grant(self, link: Link, version: str, queued: int) -> None:
        for instance, home in list(self.home.items()):
            known, address = self.addresses[instance]
            slots = min(home, queued)
            if known == version and slots > 0:
                self.home[instance] -= slots
                queued -= slots
                self._waiting[link.hello.router, version] = queued
                link.peer.send(encode(Grant(instance, version, address, slots)))

    async def _note(self, message: FromRouter | None) -> None:
        async with self._changed:
            if message is not None:
                self.received.append(message)
            self._changed.notify_all()


async def _nothing(_: int) -> None:
    pass
