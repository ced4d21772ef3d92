"""Limits kept by the pool, over the real feed: routers' stores, links and messages, the pool's leases.

They keep to the same contract as the reference, and answer as it does.
"""

import asyncio
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plat.address import Address
from plat.feed import FromRouter, Hello, Lease
from plat.leasing import Answer, Ask, Buckets
from plat.tasks import cancel, spawn
from plat.web import start_site
from pool.feed import RouterLinks
from pool.leases import Leases
from router.feed import PoolLink
from router.limits.lease_store import PoolStore
from tests.unit.plat.leasing_contract import LONG_S, START, LeasingContract, MakeStore, Step, World, scripts

WAIT_S = 20.0
T = TypeVar("T")


class Feed:
    """The pool's end and routers' ends, on an event loop of their own: the contract waits for them."""

    def __init__(self, folder: Path) -> None:
        self._address = Address(path=str(folder / "pool.sock"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="feed")
        self._links = RouterLinks()
        self._links.received = self._received
        self._stores: dict[str, PoolStore] = {}
        self._running: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None
        self.leases = Leases(1, START)
        self.now = START

    def open(self) -> None:
        self._thread.start()
        self._do(self._serve())

    def close(self) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def lease(self, router: str, number: int, asks: list[Ask]) -> list[Answer]:
        return self._do(self._lease(router, number, asks))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_get("/feed", self._links.serve)
        self._runner = await start_site(app, self._address)

    async def _end(self) -> None:
        for task in self._running:
            await cancel(task)
        assert self._runner is not None
        await self._runner.cleanup()

    async def _lease(self, router: str, number: int, asks: list[Ask]) -> list[Answer]:
        store = self._stores.get(router) or self._connect(router)
        await store.open()
        return await store.lease(router, number, asks)

    def _connect(self, router: str) -> PoolStore:
        link = PoolLink(router, self._address, clock=lambda: self.now, queue_limit=10)
        link.was_leased = lambda: True
        store = self._stores[router] = PoolStore(link)
        self._running.append(spawn(link.run(), f"link of {router}"))
        return store

    def _received(self, router: str, message: FromRouter) -> None:
        """As `pool.service` does."""
        match message:
            case Lease():
                self._links.send(router, self.leases.answer(router, message, self.now))
            case Hello():
                self.leases.router_here(router, leased=message.leased)


class FeedStore:
    """The leases of a pool that has just started, at the end of the feed."""

    def __init__(self, feed: Feed, since: float) -> None:
        self._feed = feed
        feed.leases = Leases(1, since)
        feed.leases.router_here("nobody", leased=True)
        self.lease("nobody", 1, [], since)

    def lease(self, router: str, number: int, asks: list[Ask], now: float) -> list[Answer]:
        self._feed.now = now
        return self._feed.lease(router, number, asks)


@pytest.fixture(scope="module")
def feed() -> Iterator[Feed]:
    with tempfile.TemporaryDirectory(prefix="plat-feed-") as folder:
        feed = Feed(Path(folder))
        feed.open()
        yield feed
        feed.close()


class TestFeed(LeasingContract):
    @pytest.fixture
    def make_store(self, feed: Feed) -> MakeStore:
        return lambda since: FeedStore(feed, since)


class Both:
    """Asks the reference and the pool, and compares."""

    def __init__(self, feed: Feed, since: float) -> None:
        self._reference = Buckets(since)
        self._pool = FeedStore(feed, since)

    def lease(self, router: str, number: int, asks: list[Ask], now: float) -> list[Answer]:
        answers = self._pool.lease(router, number, asks, now)
        assert answers == self._reference.lease(router, number, asks, now)
        return answers


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scripts, st.sampled_from([0.3, 2.0, 20.0]), st.integers(1, 12), st.sampled_from([0.0, LONG_S / 2]))
def test_it_answers_as_the_reference_does(
    feed: Feed, script: list[Step], rate: float, burst: int, age_s: float
) -> None:
    world = World(Both(feed, START - age_s), rate, burst)
    world.play(script)
    world.check()


def test_all_buckets_of_a_request_are_answered_in_their_order(feed: Feed) -> None:
    store = FeedStore(feed, START - LONG_S / 2)
    asks = [Ask(f"k{number}", 10.0, 8, 0, 0, number, 0.0, LONG_S, False) for number in range(5)]
    told = store.lease("many", 1, asks, START)
    assert [answer.lease for answer in told] == [0, 1, 2, 3, 4]
