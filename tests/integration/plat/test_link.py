"""Links over real sockets: how they begin, what they refuse, how they end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from plat.address import Address
from plat.link import Link, accept, connect
from plat.tasks import cancel, spawn
from plat.web import session_for, start_site
from tests.integration.link_peer import Peer

WAIT_S = 20.0


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - looked at from outside
            await asyncio.sleep(0.002)


def ignore(_: bytes) -> None:
    """Nothing is expected."""


class Service:
    """Keeps what it hears, and echoes it."""

    def __init__(self) -> None:
        self.echoes = True
        self.heard: list[bytes] = []
        self.links: list[Link] = []
        self.left = 0

    async def page(self, request: web.Request) -> web.StreamResponse:
        def hear(message: bytes) -> None:
            self.heard.append(message)
            if self.echoes:
                link.send(message)

        link = Link(hear)
        self.links.append(link)
        try:
            return await accept(request, link)
        finally:
            self.left += 1

    async def start(self, address: Address) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/link", self.page)
        return await start_site(app, address)


def free_port() -> int:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        return int(reserved.getsockname()[1])


@pytest.fixture(params=["unix", "tcp"])
def address(request: pytest.FixtureRequest, data_dir: Path) -> Address:
    if request.param == "unix":
        return Address(path=str(data_dir / "link.sock"))
    return Address(host="127.0.0.1", port=free_port())


@pytest.fixture
async def service(address: Address) -> AsyncIterator[Service]:
    service = Service()
    runner = await service.start(address)
    yield service
    await runner.cleanup()


async def test_messages_both_ways_of_any_size(address: Address, service: Service) -> None:
    heard: list[bytes] = []
    link = Link(heard.append)
    await connect(address, "/link", link)
    messages = [bytes([size % 251]) * size for size in [1, 2, 65_536, 3, 5_000_000, 4]]
    for message in messages:
        assert link.send(message)
    await until(lambda: len(heard) == len(messages))
    assert heard == service.heard == messages
    link.close()
    await link.closed.wait()
    await until(lambda: service.left == 1)
    assert not service.links[0].is_open


async def test_what_was_sent_leaves_before_it_closes(address: Address, service: Service) -> None:
    service.echoes = False
    link = Link(ignore)
    await connect(address, "/link", link)
    link.send(bytes(3_000_000))
    link.send(b"the last")
    link.close()
    await until(lambda: service.left == 1)
    assert service.heard[-1] == b"the last"


async def test_one_that_is_not_read_lags_and_is_cut(address: Address, service: Service) -> None:
    peer = await Peer.connected(address, "/link")
    await until(lambda: len(service.links) == 1)
    [theirs] = service.links
    peer.reads(goes_on=False)
    for _ in range(100):
        theirs.send(bytes(1_000_000))
    assert theirs.backlog > 50_000_000
    theirs.cut()
    await until(lambda: service.left == 1)
    peer.link.cut()
    await peer.link.closed.wait()


async def test_the_end_of_the_service_is_the_end_of_its_links(address: Address) -> None:
    service = Service()
    runner = await service.start(address)
    links = [Link(ignore) for _ in range(3)]
    for link in links:
        await connect(address, "/link", link)
    await runner.cleanup()
    for link in links:
        await asyncio.wait_for(link.closed.wait(), WAIT_S)
        assert not link.send(b"lost")
    assert service.left == 3


@pytest.mark.parametrize("page", ["/none", "/"])
async def test_a_page_that_is_no_link(address: Address, service: Service, page: str) -> None:
    link = Link(ignore)
    with pytest.raises(ConnectionResetError, match="404"):
        await connect(address, page, link)
    assert not link.is_open


async def test_a_request_that_asks_for_no_link(address: Address, service: Service) -> None:
    async with session_for(address) as session:
        async with session.get("/link") as answer:
            assert answer.status == 426
        async with session.get("/link", headers={"Upgrade": "websocket"}) as answer:
            assert answer.status == 426


async def test_nobody_is_there(address: Address) -> None:
    with pytest.raises(OSError, match=r"No such file|refused|Connect call failed"):
        await connect(address, "/link", Link(ignore))


@pytest.mark.parametrize("answer", [b"", b"\0" * 100_000, b"HTTP/1.1 101"])
async def test_one_that_speaks_something_else(data_dir: Path, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    path = str(data_dir / "else.sock")
    server = await asyncio.start_unix_server(serve, path)
    with pytest.raises(OSError, match="cannot be opened"):
        await connect(Address(path=path), "/link", Link(ignore))
    server.close()


async def test_given_up_while_it_waits_for_the_answer(data_dir: Path) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        await reader.read()
        ended.set()
        writer.close()

    path = str(data_dir / "slow.sock")
    server = await asyncio.start_unix_server(serve, path)
    task = spawn(connect(Address(path=path), "/link", Link(ignore)), "connect")
    await begun.wait()
    await cancel(task)
    await asyncio.wait_for(ended.wait(), WAIT_S)
    server.close()
