"""Routers, a store between them, and calls with one key, in virtual time: whoever dies, whatever is lost.

The routers' parts are the real ones; what is simulated is the network and the functions.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from itertools import cycle
from typing import NamedTuple

from plat.errors import PlatError
from plat.idempotency import Records, Request, Verdict
from plat.tasks import cancel
from router.idempotency.claims import Claimed, Kept
from router.idempotency.key import Keyed
from router.idempotency.keys import Idempotency
from router.limits.leases import StoreError
from router.metrics import Metrics

KEY = "k" * 64
KEEP_S = 3600.0
PATIENCE_S = 60.0


class Link(NamedTuple):
    """What becomes of one request: when it is heard, when the answer is, and whether they are at all."""

    there_s: float = 0.001
    back_s: float = 0.001
    is_heard: bool = True
    is_answered: bool = True
    kills: bool = False
    """The router dies when its request has been heard."""


class Call(NamedTuple):
    """One call: when, at which router, and what its execution would come to."""

    at: float
    router: int
    fingerprint: str = "same"
    wait_s: float | None = None
    leaves_after_s: float | None = None
    refused: bool = False
    """No slot: it fails before it is sent."""
    slot_s: float = 0.0
    takes_s: float = 1.0
    fails: bool = False
    cuts_s: float = 0.0
    """Its router cannot reach the store for so long, from when the call begins to wait for its slot."""
    kills_after_s: float | None = None
    """Its router dies so long after it was sent."""


class Execution(NamedTuple):
    call: Call
    began: float


class World:
    """`play` the calls; then look at `executions` and at what each call was told."""

    def __init__(self, routers: int, links: list[Link]) -> None:
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self.records = Records(float("-inf"), 1_000_000)
        self._links = cycle(links or [Link()])
        self.is_away = False
        self.asked = 0
        """Requests to the store."""
        self.routers = [Router(self) for _ in range(routers)]
        self.executions: list[Execution] = []
        self.ended: list[float] = []
        """When executions ended whose router lived on."""

    @property
    def now(self) -> float:
        return self._loop.time() - self._started

    async def at(self, when: float) -> None:
        await asyncio.sleep(max(0.0, when - self.now))

    async def ask(self, router: "Router", request: Request) -> Verdict:
        """A request on its way is heard even if its router dies meanwhile."""
        self.asked += 1
        if self.is_away or self.now < router.cut_until:
            raise StoreError("away")
        future: asyncio.Future[Verdict] = self._loop.create_future()
        self._loop.create_task(self._deliver(router, request, next(self._links), future))
        return await future

    async def _deliver(
        self, router: "Router", request: Request, link: Link, future: "asyncio.Future[Verdict]"
    ) -> None:
        await asyncio.sleep(link.there_s)
        if not link.is_heard or self.is_away:
            return
        verdict = self.records.answer(request, self.now)
        if link.kills:
            await router.die()
        await asyncio.sleep(link.back_s)
        if link.is_answered and not self.is_away and not future.done():
            future.set_result(verdict)

    def forget(self) -> None:
        """The store was killed, and is back with nothing."""
        self.records = Records(self.now, 1_000_000)

    async def execute(self, router: "Router", call: Call, claim: Claimed) -> Kept:
        """As `router.idempotency.calls`: a slot, begin, send, keep."""
        router.cut_until = max(router.cut_until, self.now + call.cuts_s)
        await asyncio.sleep(call.slot_s)
        if call.refused:
            raise PlatError("queue_full", "no slot")
        await claim.begin()
        self.executions.append(Execution(call, self.now))
        if call.kills_after_s is not None:
            self._loop.call_later(call.kills_after_s, lambda: self._loop.create_task(router.die()))
        await asyncio.sleep(call.takes_s)
        self.ended.append(self.now)
        await claim.finish(Kept(502 if call.fails else 200, b"", [], call.fingerprint.encode()))
        if call.fails:
            raise PlatError("instance_crashed", "crashed")
        assert claim.kept is not None
        return claim.kept


class Router:
    """One that can die."""

    def __init__(self, world: World) -> None:
        self._world = world
        loop = asyncio.get_running_loop()
        self.metrics = Metrics()
        self.idempotency = Idempotency(
            _Store(functools.partial(world.ask, self)), self.metrics, keep_s=KEEP_S, clock=loop.time
        )
        self._tasks: set[asyncio.Task[object]] = {loop.create_task(self.idempotency.run())}
        self.is_dead = False
        self.cut_until = 0.0

    async def call(self, call: Call) -> Kept | PlatError | None:
        """What the client is told; None: it has gone, or its router has."""
        if self.is_dead:
            return None
        task = asyncio.get_running_loop().create_task(self._call(call))
        self._tasks.add(task)
        done, _ = await asyncio.wait([task], timeout=call.leaves_after_s)
        if not done:
            await cancel(task)
        if task.cancelled():
            return None
        error = task.exception()
        if error is not None and not isinstance(error, PlatError):
            raise error
        return task.result() if error is None else error

    async def _call(self, call: Call) -> Kept:
        keyed = Keyed(KEY, call.fingerprint, call.wait_s)
        return await self.idempotency.once(
            keyed, PATIENCE_S, lambda claim: self._world.execute(self, call, claim)
        )

    async def die(self) -> None:
        """kill -9: it does and says nothing more."""
        if self.is_dead:
            return
        self.is_dead = True
        self.idempotency._store = _Store(_silence)
        await cancel(*self._tasks)
        await self.idempotency.stop()


class _Store:
    def __init__(self, ask: Callable[[Request], Awaitable[Verdict]]) -> None:
        self._ask = ask

    async def open(self) -> None:
        pass

    async def ask(self, request: Request) -> Verdict:
        return await self._ask(request)

    async def close(self) -> None:
        pass


async def _silence(request: Request) -> Verdict:
    raise StoreError("dead")


async def play(world: World, calls: list[Call]) -> list[Kept | PlatError | None]:
    async def one(call: Call) -> Kept | PlatError | None:
        await world.at(call.at)
        return await world.routers[call.router % len(world.routers)].call(call)

    return list(await asyncio.gather(*(one(call) for call in calls)))


async def end(world: World) -> None:
    for router in world.routers:
        await router.die()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    await cancel(*others)
