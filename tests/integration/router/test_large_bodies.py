"""100 MB both ways through a router process, whose memory stays where it was: back-pressure, end to end."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from plat.settings import Settings
from plat.tasks import spawn
from tests.integration.router.conftest import RouterProcess, RunInstance, listening
from tests.integration.router.instances import OK, Gate
from tests.integration.router.pool_server import PoolServer
from tests.integration.router.wire import WAIT_S, Message, Wire, until

SIZE = 100 * 1024 * 1024
PIECE = bytes(range(256)) * 1024
GROWTH_LIMIT_BYTES = 16 * 1024 * 1024
"""A few buffers of every kind; an unbounded one would hold most of the 100 MB."""

PROGRAM = """
import asyncio, signal, sys, msgspec, uvloop
from plat.settings import Settings
from router.server import serve

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await serve(msgspec.json.decode(sys.argv[1], type=Settings), stop)

uvloop.run(main())
"""


class Process(RouterProcess):
    """A router in a process of its own, to measure it."""

    process: asyncio.subprocess.Process

    async def start(self, index: int = 0) -> None:
        settings = msgspec.json.encode(self.settings).decode()
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, settings, cwd=Path(__file__).parents[3]
        )

    async def stop(self) -> None:
        for wire in self._wires:
            await wire.close()
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_S):
            assert await self.process.wait() == 0

    def memory_bytes(self) -> int:
        """The largest resident set so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024


@pytest.fixture
async def router(settings: Settings, pool: PoolServer, port: int) -> AsyncIterator[Process]:
    changed = msgspec.structs.replace(settings, port=port, log_level="error")
    process = Process(changed, "fast")
    await process.start()
    await pool.connected()
    await listening(port)
    await process.until_ready()
    yield process
    await process.stop()


async def send_much(wire: Wire, *, chunked: bool) -> str:
    digest = sha256()
    for _ in range(SIZE // len(PIECE)):
        digest.update(PIECE)
        await wire.send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
    if chunked:
        await wire.send(b"0\r\n\r\n")
    return digest.hexdigest()


async def read_much(wire: Wire, message: Message) -> str:
    digest = sha256()
    if message.get("Transfer-Encoding") == "chunked":
        async for chunk in wire.chunks():
            digest.update(chunk)
        return digest.hexdigest()
    left = int(message.get("Content-Length") or 0)
    async with asyncio.timeout(WAIT_S):
        while left and (data := await wire.reader.read(min(left, 1 << 20))):
            digest.update(data)
            left -= len(data)
    assert left == 0
    return digest.hexdigest()


def framing(*, chunked: bool) -> bytes:
    return b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % SIZE


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_up(router: Process, run_instance: RunInstance, chunked: bool) -> None:
    digests = []

    async def behave(wire: Wire, request: Message) -> None:
        digests.append(await read_much(wire, request))
        await wire.send(OK)

    await run_instance(behave, read_body=False)
    wire = await router.connect()
    before = router.memory_bytes()
    await wire.send(b"PUT /function/f HTTP/1.1\r\nHost: x\r\n" + framing(chunked=chunked) + b"\r\n")
    sent = await send_much(wire, chunked=chunked)
    assert (await wire.answer()).body == b"ok"
    assert digests == [sent]
    assert router.memory_bytes() - before < GROWTH_LIMIT_BYTES


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_down(router: Process, run_instance: RunInstance, chunked: bool) -> None:
    digests = []

    async def behave(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\n" + framing(chunked=chunked) + b"\r\n")
        digests.append(await send_much(wire, chunked=chunked))

    await run_instance(behave)
    wire = await router.connect()
    before = router.memory_bytes()
    await wire.send(b"GET /function/f HTTP/1.1\r\nHost: x\r\n\r\n")
    digest = await read_much(wire, await wire.head())
    await until(lambda: digests == [digest])
    assert router.memory_bytes() - before < GROWTH_LIMIT_BYTES


@pytest.mark.parametrize("path", ["fast", "streaming"])
async def test_a_client_that_does_not_read_holds_the_instance_back(
    router: Process, run_instance: RunInstance, path: str
) -> None:
    """What it does not take is not taken from the instance: 100 MB wait there, not in the router."""
    router.path = path
    sent = 0

    async def behave(wire: Wire, request: Message) -> None:
        nonlocal sent
        await wire.send(b"HTTP/1.1 200 OK\r\n" + framing(chunked=False) + b"\r\n")
        for _ in range(SIZE // len(PIECE)):
            wire.writer.write(PIECE)
            await wire.writer.drain()
            sent += len(PIECE)

    await run_instance(behave)
    wire = await router.connect()
    before = router.memory_bytes()
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await wire.send(b"GET /function/f HTTP/1.1\r\nHost: x\r\n\r\n")
    await until_it_stands_still(lambda: sent)
    assert sent < SIZE // 2
    assert router.memory_bytes() - before < GROWTH_LIMIT_BYTES
    wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
    await read_much(wire, await wire.head())
    await until(lambda: sent == SIZE)
    assert router.memory_bytes() - before < GROWTH_LIMIT_BYTES


async def test_an_instance_that_does_not_read_holds_the_client_back(
    router: Process, run_instance: RunInstance
) -> None:
    gate = Gate()
    sent = 0

    async def behave(wire: Wire, request: Message) -> None:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await gate.pass_through()
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await read_much(wire, request)
        await wire.send(OK)

    async def send() -> None:
        nonlocal sent
        for _ in range(SIZE // len(PIECE)):
            wire.writer.write(PIECE)
            await wire.writer.drain()
            sent += len(PIECE)

    await run_instance(behave, read_body=False)
    wire = await router.connect()
    before = router.memory_bytes()
    await wire.send(b"PUT /function/f HTTP/1.1\r\nHost: x\r\n" + framing(chunked=False) + b"\r\n")
    sending = spawn(send(), "body")
    await until(lambda: gate.waiting == 1)
    await until_it_stands_still(lambda: sent)
    assert sent < SIZE // 2
    assert router.memory_bytes() - before < GROWTH_LIMIT_BYTES
    gate.open()
    await sending
    assert (await wire.answer()).body == b"ok"
    assert router.memory_bytes() - before < GROWTH_LIMIT_BYTES


async def until_it_stands_still(count: Callable[[], int]) -> None:
    """Half a second without any progress: every buffer on the way is full."""
    last, since = -1, asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() - since < 0.5:
        if count() != last:
            last, since = count(), asyncio.get_running_loop().time()
        await asyncio.sleep(0.01)
