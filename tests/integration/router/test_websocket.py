"""WebSockets pass through: a real server behind the router, a real client before it."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from plat.address import Address
from plat.tasks import spawn
from plat.web import start_site
from tests.integration.router.conftest import RouterProcess, RunInstance, get
from tests.integration.router.instances import say_ok
from tests.integration.router.pool_server import TOKEN, PoolServer
from tests.integration.router.wire import Message, Wire, until

HANDSHAKE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class Echo:
    """An aiohttp WebSocket server as instance `ws`."""

    def __init__(self) -> None:
        self.open = 0
        self.paths: list[str] = []
        self.authorizations: list[str | None] = []
        self.closed_with: list[int | None] = []

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0, protocols=("chat",))
        await socket.prepare(request)
        self.open += 1
        self.paths.append(str(request.rel_url))
        self.authorizations.append(request.headers.get("Authorization"))
        try:
            async for message in socket:
                if message.data == "close":
                    await socket.close(code=4001, message=b"as asked")
                elif message.type is aiohttp.WSMsgType.TEXT:
                    await socket.send_str(message.data)
                elif message.type is aiohttp.WSMsgType.BINARY:
                    await socket.send_bytes(message.data)
        finally:
            self.open -= 1
            self.closed_with.append(socket.close_code)
        return socket


@pytest.fixture
async def echo(pool: PoolServer, data_dir: Path) -> AsyncIterator[Echo]:
    echo, app = Echo(), web.Application()
    app.router.add_get("/{path:.*}", echo.serve)
    runner = await start_site(app, Address(path=str(data_dir / "ws.sock")), cancel_handlers=True)
    await pool.add("ws", f"unix:{data_dir / 'ws.sock'}", 1)
    yield echo
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def url(router: RouterProcess, rest: str = "") -> str:
    return f"http://127.0.0.1:{router.settings.port}/function/f{rest}"


async def test_no_function_sees_a_token_of_the_platforms(
    router: RouterProcess, echo: Echo, session: aiohttp.ClientSession
) -> None:
    for token, seen in ((TOKEN, None), ("plat_gone", None), ("theirs", "Bearer theirs")):
        async with session.ws_connect(url(router), headers={"Authorization": f"Bearer {token}"}) as socket:
            await socket.send_str("a")
            assert await socket.receive_str() == "a"
        assert echo.authorizations.pop() == seen


async def test_a_thousand_messages(router: RouterProcess, echo: Echo, session: aiohttp.ClientSession) -> None:
    async with session.ws_connect(url(router, "/chat?room=1"), protocols=("chat",)) as socket:
        assert socket.protocol == "chat"
        for number in range(1000):
            await socket.send_str(f"message {number}")
            assert await socket.receive_str() == f"message {number}"
    assert echo.paths == ["/chat?room=1"]


async def test_a_thousand_messages_at_once(
    router: RouterProcess, echo: Echo, session: aiohttp.ClientSession
) -> None:
    async with session.ws_connect(url(router)) as socket:
        for number in range(1000):
            await socket.send_bytes(bytes([number % 256]) * number)
        for number in range(1000):
            assert await socket.receive_bytes() == bytes([number % 256]) * number


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 5_000_000])
async def test_messages_of_every_size(
    router: RouterProcess, echo: Echo, session: aiohttp.ClientSession, size: int
) -> None:
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    async with session.ws_connect(url(router), max_msg_size=0) as socket:
        for _ in range(3):
            await socket.send_bytes(content)
            assert await socket.receive_bytes() == content


async def test_a_flood_that_the_client_does_not_read_is_held_back_and_not_lost(
    router: RouterProcess, echo: Echo, session: aiohttp.ClientSession
) -> None:
    """40 MB go in as fast as they can: every buffer on the way fills, both ways."""
    async with session.ws_connect(url(router), max_msg_size=0) as socket:
        sender = spawn(send_many(socket, 40, 1_000_000), "messages")
        for number in range(40):
            assert await socket.receive_bytes() == bytes([number]) * 1_000_000
        await sender


async def send_many(socket: aiohttp.ClientWebSocketResponse, messages: int, size: int) -> None:
    for number in range(messages):
        await socket.send_bytes(bytes([number]) * size)


async def test_the_close_handshake_of_the_client(
    router: RouterProcess, echo: Echo, session: aiohttp.ClientSession
) -> None:
    async with session.ws_connect(url(router)) as socket:
        await socket.close(code=4000)
    await until(lambda: echo.closed_with == [4000])
    async with session.ws_connect(url(router)) as again:
        await again.send_str("the slot is free")
        assert await again.receive_str() == "the slot is free"


async def test_the_close_handshake_of_the_instance(
    router: RouterProcess, echo: Echo, session: aiohttp.ClientSession
) -> None:
    async with session.ws_connect(url(router)) as socket:
        await socket.send_str("close")
        message = await socket.receive()
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "as asked")


async def test_a_client_that_is_cut_off(
    router: RouterProcess, echo: Echo, session: aiohttp.ClientSession
) -> None:
    wire = await router.connect()
    await wire.send(get("/function/f", *HANDSHAKE, "Sec-WebSocket-Version: 13"))
    assert (await wire.answer()).status == 101
    assert echo.open == 1
    wire.abort()
    await until(lambda: echo.open == 0)
    async with session.ws_connect(url(router)) as socket:
        await socket.send_str("the slot is free")
        assert await socket.receive_str() == "the slot is free"


async def test_a_handshake_that_is_refused_is_an_ordinary_answer(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(get("/function/f", *HANDSHAKE))
    assert (await wire.answer()).body == b"ok"
    request = instance.requests[0]
    assert (request.get("Upgrade"), request.get("Connection")) == ("websocket", "Upgrade")
    await wire.send(get())
    assert (await wire.answer()).body == b"ok"


async def test_bytes_right_behind_the_handshake_arrive(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    """From both sides, in the same packet as the heads."""

    async def tunnel(wire: Wire, request: Message) -> None:
        await wire.send(SWITCH + b"from the instance")
        assert await wire.reader.readexactly(15) == b"from the client"
        await wire.send(b", and back")
        wire.writer.close()

    instance = await run_instance(tunnel)
    wire = await router.connect()
    await wire.send(get("/function/f", *HANDSHAKE) + b"from the client")
    answer = await wire.answer()
    assert answer.status == 101
    assert answer.get("X-Call-Id")
    assert answer.get("Upgrade") == "websocket"
    assert await wire.ended() == b"from the instance, and back"
    instance.behave = say_ok
    assert (await router.get()).status == 200


async def test_an_instance_that_is_killed_ends_the_tunnel(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    async def killed(wire: Wire, request: Message) -> None:
        await wire.send(SWITCH)
        await wire.reader.readexactly(1)
        wire.abort()

    instance = await run_instance(killed)
    wire = await router.connect()
    await wire.send(get("/function/f", *HANDSHAKE))
    assert (await wire.answer()).status == 101
    await wire.send(b"x")
    assert await wire.ended() == b""
    instance.behave = say_ok
    assert (await router.get()).status == 200
