"""A real router under uvloop, a pool and instances of the test's own."""

import asyncio
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import msgspec
import pytest
import redis
import uvloop

from plat.settings import Settings
from plat.tasks import spawn
from router.server import serve
from tests.integration.redis_forms import StartRedis, Watched
from tests.integration.redis_server import RedisServer
from tests.integration.router.instances import Behaviour, Instance, say_ok
from tests.integration.router.pool_server import PoolServer, route, token_entry
from tests.integration.router.wire import WAIT_S, Message, Wire


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests of this folder run under the loop that routers run under."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[PoolServer]:
    """Knows the public function `f` (concurrency 1), and no instance."""
    assert settings.pool.path is not None
    server = PoolServer(Path(settings.pool.path), [token_entry()])
    server.routes["f"] = route()
    await server.start()
    yield server
    await server.stop()


async def listening(port: int) -> None:
    """Wait until connections to the port are accepted."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "nothing listens"
            await asyncio.sleep(0.002)
        else:
            writer.close()
            return await writer.wait_closed()


NOT_FAST = b"GET /no-function HTTP/1.1\r\nHost: example.org\r\n\r\n"
"""What the fast path does not know: from there on the connection is the other path's."""


@pytest.fixture(params=["fast", "streaming"])
def path(request: pytest.FixtureRequest) -> str:
    """Which of the router's two paths takes what is sent: every test here holds for both."""
    return str(request.param)


class RouterProcess:
    """A router in this process."""

    def __init__(self, settings: Settings, path: str) -> None:
        self.settings = settings
        self.path = path
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._wires: list[Wire] = []

    async def start(self, index: int = 0) -> None:
        self._task = spawn(serve(self.settings, self._stop, index=index), "router")

    def begin_stop(self) -> None:
        self._stop.set()

    async def stop(self) -> None:
        """Clients that are still there go first."""
        for wire in self._wires:
            await wire.close()
        self._stop.set()
        if self._task is not None:
            async with asyncio.timeout(WAIT_S):
                await self._task

    async def connect_raw(self) -> Wire:
        """Nothing is sent: whichever path this test is about has not been taken yet."""
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.settings.port, limit=1 << 20))
        self._wires.append(wire)
        return wire

    async def connect(self) -> Wire:
        wire = await self.connect_raw()
        if self.path == "streaming":
            await wire.send(NOT_FAST)
            assert (await wire.answer()).status == 404
        return wire

    async def call(self, request: bytes, *, method: str = "GET") -> Message:
        """One request on a connection of its own."""
        wire = await self.connect()
        try:
            await wire.send(request)
            return await wire.answer(to=method)
        finally:
            await wire.close()

    async def get(self, target: str = "/function/f", *headers: str) -> Message:
        return await self.call(get(target, *headers))

    async def metrics(self) -> str:
        return (await self._admin("/metrics"))[1]

    async def readyz(self) -> int:
        return (await self._admin("/readyz"))[0]

    async def until_metrics(self, sample: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while sample not in await self.metrics():
            assert time.monotonic() < deadline, f"{sample} was never counted"

    async def until_ready(self) -> None:
        deadline = time.monotonic() + WAIT_S
        while await self.readyz() != 200:
            assert time.monotonic() < deadline, "it did not become ready"

    async def _admin(self, page: str) -> tuple[int, str]:
        path = str(self.settings.run_dir / "router-0.sock")
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session,
            session.get(f"http://router{page}") as answer,
        ):
            return answer.status, await answer.text()


def get(target: str = "/function/f", *headers: str) -> bytes:
    lines = [f"GET {target} HTTP/1.1", "Host: example.org", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def post(body: bytes, target: str = "/function/f", *headers: str) -> bytes:
    lines = [f"POST {target} HTTP/1.1", "Host: example.org", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


EARLY = b"x" * 65_536
"""As much of a body as is read before a slot is asked for; one that is larger is streamed from there on."""

EARLY_CHUNK = b"10000\r\n" + EARLY + b"\r\n"


RunRouter = Callable[..., Awaitable[RouterProcess]]


@pytest.fixture
def port() -> Iterator[int]:
    """A port that is nobody else's while the test runs: bound here too, but not listening."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


@pytest.fixture
async def run_router(settings: Settings, pool: PoolServer, port: int, path: str) -> AsyncIterator[RunRouter]:
    """Start a router with changed settings; it is connected to the pool when this returns."""
    async with AsyncExitStack() as stack:
        started = 0

        async def run(*, connected: bool = True, **changes: object) -> RouterProcess:
            nonlocal started
            changed = msgspec.structs.replace(settings, **{"port": port, "drain_s": WAIT_S, **changes})
            router = RouterProcess(changed, path)
            await router.start(started)
            stack.push_async_callback(router.stop)
            started += 1
            if connected:
                await pool.connected(started)
            await listening(port)
            return router

        yield run


@pytest.fixture
async def router(run_router: RunRouter) -> RouterProcess:
    return await run_router()


RunInstance = Callable[..., Awaitable[Instance]]


@pytest.fixture
async def run_instance(pool: PoolServer, data_dir: Path) -> AsyncIterator[RunInstance]:
    """Start an instance with a behaviour, and give its slots to the pool."""
    async with AsyncExitStack() as stack:

        async def run(
            behave: Behaviour = say_ok, *, name: str = "a", slots: int = 1, read_body: bool = True
        ) -> Instance:
            instance = Instance(data_dir / f"{name}.sock", behave)
            instance.read_body = read_body
            await instance.start()
            stack.push_async_callback(instance.stop)
            await pool.add(name, instance.address, slots)
            return instance

        yield run


@pytest.fixture
def start_redis(data_dir: Path) -> Iterator[StartRedis]:
    """Start Redis servers, each in a folder of its own."""
    servers: list[RedisServer] = []

    def run(name: str, *options: str | int) -> RedisServer:
        folder = data_dir / name
        folder.mkdir()
        server = RedisServer(folder, *map(str, options))
        servers.append(server)
        server.start()
        return server

    yield run
    for server in servers:
        server.kill()


@pytest.fixture(scope="module")
def redis_client() -> Iterator[redis.Redis]:
    """Of a server of the module's own."""
    with tempfile.TemporaryDirectory(prefix="plat-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        with redis.Redis(unix_socket_path=str(server.path)) as client:
            yield client
        server.kill()


@pytest.fixture
def watched_redis(start_redis: StartRedis, data_dir: Path) -> Iterator[Watched]:
    watched = Watched(data_dir, start_redis)
    try:
        watched.start()
        yield watched
    finally:
        watched.stop()
