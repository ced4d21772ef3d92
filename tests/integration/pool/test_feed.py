"""The pool's end of the links: one router by name, whatever its connections do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from plat.address import Address
from plat.feed import (
    Demand,
    FromControl,
    FromRouter,
    FunctionDropped,
    Hello,
    Returned,
    RouteDropped,
    Routes,
    Table,
    TokensUsed,
    ToRouter,
    decode_from_pool,
    decode_to_router,
    encode,
)
from plat.tasks import cancel, spawn
from plat.web import start_site
from pool import feed
from pool.feed import RouterLinks, follow_control
from pool.tokens import UsedTokens
from tests.integration.link_peer import Peer

WAIT_S = 20.0


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - looked at from outside
            await asyncio.sleep(0.002)


class Heard:
    """What the links told, in order."""

    def __init__(self, links: RouterLinks) -> None:
        self.messages: list[tuple[str, FromRouter]] = []
        self.away: list[str] = []
        links.received = lambda router, message: self.messages.append((router, message))
        links.away = self.away.append


@pytest.fixture
def links() -> RouterLinks:
    return RouterLinks()


@pytest.fixture
def heard(links: RouterLinks) -> Heard:
    return Heard(links)


@pytest.fixture
async def pool(links: RouterLinks, heard: Heard, data_dir: Path) -> AsyncIterator[Address]:
    app = web.Application()
    app.router.add_get("/feed", links.serve)
    address = Address(path=str(data_dir / "pool.sock"))
    runner = await start_site(app, address)
    yield address
    await runner.cleanup()


async def connect(pool: Address, router: str = "r1") -> Peer:
    peer = await Peer.connected(pool)
    peer.send(encode(Hello(router, [])))
    return peer


async def test_messages_both_ways_in_order(pool: Address, links: RouterLinks, heard: Heard) -> None:
    peer = await connect(pool)
    demands = [Demand("v", number, 0, 0) for number in range(100)]
    for demand in demands:
        peer.send(encode(demand))
    await until(lambda: len(heard.messages) == 101)
    assert heard.messages == [("r1", Hello("r1", [])), *(("r1", each) for each in demands)]
    for number in range(100):
        links.send("r1", RouteDropped(f"f{number}"))
        links.send("nobody", RouteDropped("x"))
    received = [decode_to_router(await peer.receive()) for _ in range(100)]
    assert received == [RouteDropped(f"f{number}") for number in range(100)]
    assert links.names() == ["r1"]
    await peer.close()
    await until(lambda: heard.away == ["r1"])
    assert links.names() == []


async def test_the_end_of_an_old_connection_is_not_the_end_of_its_router(
    pool: Address, links: RouterLinks, heard: Heard
) -> None:
    """Else the slots it holds would be given to others while it uses them."""
    old = await connect(pool)
    await until(lambda: len(heard.messages) == 1)
    new = await connect(pool)
    await until(lambda: len(heard.messages) == 2)
    old.send(encode(Returned("a", 1, 0.0)))
    await old.close()
    new.send(encode(Demand("v", 1, 0, 0)))
    await until(lambda: heard.messages[-1][1] == Demand("v", 1, 0, 0))
    assert not [each for _, each in heard.messages if isinstance(each, Returned)]
    assert heard.away == []
    links.send("r1", Routes())
    assert decode_to_router(await new.receive()) == Routes()
    await new.close()
    await until(lambda: heard.away == ["r1"])


async def test_a_router_that_lags_too_far_behind_is_cut_off(
    pool: Address, links: RouterLinks, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "BACKLOG_LIMIT", 10_000_000)
    peer = await connect(pool)
    await until(lambda: links.names() == ["r1"])
    for _ in range(12):
        links.send("r1", RouteDropped(1_000_000 * "f"))
    await until(lambda: heard.away == ["r1"])
    assert links.names() == []
    await peer.link.closed.wait()


async def test_a_table_is_made_no_faster_than_it_is_taken_and_messages_overtake_it(
    pool: Address, links: RouterLinks, heard: Heard
) -> None:
    made = 0

    def table() -> Iterator[ToRouter]:
        nonlocal made
        for number in range(1000):
            made += 1
            yield RouteDropped(f"{number:010000}")

    peer = await connect(pool)
    await until(lambda: links.names() == ["r1"])
    links.send_table("r1", table())
    links.send_table("nobody", table())
    await peer.receive()
    peer.reads(goes_on=False)
    before = -1
    while before != made:  # until sockets and buffers are full
        before = made
        await asyncio.sleep(0.01)
    assert made < 500
    links.send("r1", Routes())
    peer.reads(goes_on=True)
    place, received = 0, decode_to_router(await peer.receive())
    while received != Routes():
        place, received = place + 1, decode_to_router(await peer.receive())
    assert place < before
    for _ in range(1000 - 1 - place):
        received = decode_to_router(await peer.receive())
    assert received == RouteDropped(f"{999:010000}")
    await peer.close()


async def test_a_newer_table_takes_the_place_of_the_one_before(
    pool: Address, links: RouterLinks, heard: Heard
) -> None:
    peer = await connect(pool)
    await until(lambda: links.names() == ["r1"])
    links.send_table("r1", iter([RouteDropped("older")]))
    links.send_table("r1", iter([RouteDropped("newer")]))
    assert decode_to_router(await peer.receive()) == RouteDropped("newer")
    await peer.close()


@pytest.mark.parametrize("first", [encode(Demand("v", 1, 0, 0)), b"garbage"])
async def test_one_that_does_not_say_who_it_is(
    pool: Address, links: RouterLinks, heard: Heard, first: bytes
) -> None:
    peer = await Peer.connected(pool)
    peer.send(first)
    await peer.link.closed.wait()
    assert links.names() == []
    assert (heard.away, heard.messages) == ([], [])


async def test_garbage_ends_the_connection(pool: Address, links: RouterLinks, heard: Heard) -> None:
    peer = await connect(pool)
    peer.send(b"garbage")
    await peer.link.closed.wait()
    await until(lambda: heard.away == ["r1"])


# --- control


class Control:
    """Says its table to whoever connects, and what the test adds."""

    def __init__(self) -> None:
        self.sockets: list[web.WebSocketResponse] = []
        self.said: list[TokensUsed] = []

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_bytes(encode(Table()))
        self.sockets.append(socket)
        async for message in socket:
            self.said.append(decode_from_pool(message.data))
        return socket


async def test_the_table_is_heard_again_after_every_gap(data_dir: Path) -> None:
    address = Address(path=str(data_dir / "control.sock"))
    heard: list[FromControl] = []
    used = UsedTokens()
    used.note({"t": 0.0})

    async def hear(message: FromControl) -> None:
        heard.append(message)

    follower = spawn(follow_control(address, hear, used), "follow control")
    try:
        for life in range(1, 4):
            control, app = Control(), web.Application()
            app.router.add_get("/feed", control.serve)
            runner = await start_site(app, address)
            await until(lambda: len(heard) == 2 * life - 1)  # noqa: B023 - awaited here
            await control.sockets[0].send_bytes(encode(FunctionDropped("f")))
            await until(lambda: len(heard) == 2 * life)  # noqa: B023
            await until(lambda: control.said == [TokensUsed({"t": life - 1.0})])  # noqa: B023
            await control.sockets[0].close()
            await runner.cleanup()
            used.note({"t": float(life)})  # while control is away
    finally:
        await cancel(follower)
    assert heard == [Table(), FunctionDropped("f")] * 3
