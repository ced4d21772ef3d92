"""A pool with fixed instances: gives routers slots at addresses that it is told, over the real feed.

usage: python -m bench.feed_stub FILE    (FILE: a Fixture in JSON)
Starts and stops nothing, scales nothing: what is measured behind it is the router alone.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec
import uvloop
from aiohttp import web
from msgspec import Struct

from plat.address import Address
from plat.feed import (
    Demand,
    Faulted,
    FromRouter,
    Gone,
    Grant,
    Hello,
    Lease,
    Leased,
    Returned,
    Route,
    RouteVersion,
    Saturated,
    TokenEntry,
    ToRouter,
    decode_from_router,
    encode,
    whole_table,
)
from plat.leasing import Buckets
from plat.link import Link, accept
from plat.parts import PACE_S
from plat.tasks import cancel, spawn
from plat.web import start_site


class FixedFunction(Struct, frozen=True):
    """A function with one instance. `slots` = 0: there is none, and its calls wait."""

    name: str
    address: str
    slots: int
    """What each router is granted."""
    rate: float | None = None
    burst: int | None = None
    token_rate: float | None = None
    """Then it is not public."""


class Fixture(Struct, frozen=True):
    socket: str
    functions: list[FixedFunction]
    unused: int = 0
    """Functions beside them, which have no instance."""
    again_s: float | None = None
    """So long after its end the table is told again, each time."""
    token: str = ""
    """May call everything."""


class Ledger:
    """The slots of one router: decides what it is granted."""

    def __init__(self, functions: Iterable[FixedFunction]) -> None:
        self._functions = {each.name: each for each in functions}
        self._home = {each.name: each.slots for each in functions}
        self._leases = Buckets(float("-inf"))

    def grants(self) -> list[ToRouter]:
        """All that is here."""
        return [grant for name in self._functions for grant in self._grant(name)]

    def answer(self, message: FromRouter) -> list[ToRouter]:
        """Instances have their function's name. One that a call failed at is granted no more."""
        match message:
            case Lease(number, asks):
                return [Leased(number, self._leases.lease("router", number, asks, time.monotonic()))]
            case Hello():
                return [*self.grants()]
            case Demand(version, queued) if queued:
                return self._grant(version) or [Saturated(version)]
            case Returned(instance, slots):
                if instance in self._home:
                    self._home[instance] += slots
            case Faulted(instance, reason):
                self._home.pop(instance, None)
                return [Gone(instance, "exited", f"A router reported: {reason}.")]
        return []

    def _grant(self, name: str) -> list[ToRouter]:
        slots = self._home.get(name, 0)
        if not slots:
            return []
        self._home[name] = 0
        return [Grant(name, name, self._functions[name].address, slots)]


def route(function: FixedFunction) -> Route:
    versions = (RouteVersion(function.name, 1, max(function.slots, 1), 60.0),)
    auth = "public" if function.token_rate is None else "token"
    return Route(
        function.name,
        1,
        False,
        auth,
        3600.0,
        function.rate,
        function.burst,
        versions,
        token_rate=function.token_rate,
    )


def tokens(fixture: Fixture) -> list[TokenEntry]:
    if not fixture.token:
        return []
    return [TokenEntry("bench", sha256(fixture.token.encode()).hexdigest(), ("invoke:*",))]


def routes(fixture: Fixture) -> Iterator[Route]:
    """Those that are called come last."""
    yield from (route(FixedFunction(f"unused-{number:06}", "", 0)) for number in range(fixture.unused))
    yield from map(route, fixture.functions)


async def tell(link: Link, fixture: Fixture, table: Sequence[Route]) -> None:
    """Once, or for ever. How long each time took goes to standard output: "told in SECONDS"."""
    while True:
        began = time.monotonic()
        for part in whole_table(tokens(fixture), table):
            link.send(encode(part))
            await asyncio.sleep(PACE_S)
        print(f"told in {time.monotonic() - began:.4f}", flush=True)
        if fixture.again_s is None:
            return
        await asyncio.sleep(fixture.again_s)


def application(fixture: Fixture) -> web.Application:
    table = list(routes(fixture))

    async def feed(request: web.Request) -> web.StreamResponse:
        ledger = Ledger(fixture.functions)

        def hear(data: bytes) -> None:
            message = decode_from_router(data)
            if isinstance(message, Hello):
                telling.append(spawn(tell(link, fixture, table), "tell"))
            for answer in ledger.answer(message):
                link.send(encode(answer))

        link = Link(hear)
        telling: list[asyncio.Task[None]] = []
        try:
            return await accept(request, link)
        finally:
            await cancel(*telling)

    app = web.Application()
    app.router.add_get("/feed", feed)
    return app


async def serve(fixture: Fixture) -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    runner = await start_site(application(fixture), Address(path=fixture.socket))
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Fixture)))
