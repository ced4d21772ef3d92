"""Waiting for an instance over real sockets: late, silent, foreign, broken, and gone."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from plat.errors import PlatError
from plat.tasks import cancel
from pool.health import Health, Unreachable, probe, wait_ready

READY = b'HTTP/1.1 200 OK\r\nContent-Length: 46\r\n\r\n{"function":"hello","version":7,"in_flight":0}'
ME = Health("hello", 7, 0)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def soon(seconds: float = 20) -> float:
    return time.monotonic() + seconds


@asynccontextmanager
async def instance(
    path: Path, *answers: bytes, hold: asyncio.Event | None = None
) -> AsyncIterator[list[bytes]]:
    """Answers each connection with the next of `answers`, the last one again and again."""
    requests: list[bytes] = []
    serving: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        try:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            if hold is not None:
                await hold.wait()
            writer.write(answers[min(len(requests), len(answers)) - 1])
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield requests
    finally:
        server.close()
        await cancel(*(task for task in serving if task is not None))


async def failure(address: str, deadline: float) -> str:
    with pytest.raises(PlatError) as raised:
        await wait_ready(address, deadline)
    return str(raised.value)


@pytest.fixture
def path(data_dir: Path) -> Path:
    return data_dir / "http.sock"


@pytest.fixture
def address(path: Path) -> str:
    return f"unix:{path}"


async def test_it_asks_once_and_waits_for_the_held_back_answer(path: Path, address: str) -> None:
    hold = asyncio.Event()
    async with instance(path, READY, hold=hold) as requests, asyncio.TaskGroup() as group:
        waiting = group.create_task(wait_ready(address, soon()))
        while not requests:  # noqa: ASYNC110 - a deadline is the suite's
            await asyncio.sleep(0.001)
        assert not waiting.done()
        hold.set()
    assert waiting.result() == ME
    assert len(requests) == 1
    assert requests[0].startswith(b"GET /_plat/health HTTP/1.1\r\n")


async def test_a_socket_that_appears_late(path: Path, address: str) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(wait_ready(address, soon()))
        await asyncio.sleep(0)
        async with instance(path, READY):
            assert await waiting == ME


async def test_one_that_closes_without_an_answer_is_asked_again(path: Path, address: str) -> None:
    async with instance(path, b"", b"HTTP/1.1 200", READY) as requests:
        assert await wait_ready(address, soon()) == ME
    assert len(requests) == 3


async def test_nothing_ever_listens(address: str) -> None:
    with pytest.raises(PlatError, match="nothing listens") as raised:
        await wait_ready(address, soon(0.05))
    assert raised.value.code == "instance_start_failed"


async def test_a_handler_that_never_ends_loading(path: Path, address: str) -> None:
    async with instance(path, READY, hold=asyncio.Event()):
        with pytest.raises(PlatError, match="still being loaded"):
            await wait_ready(address, soon(0.05))
        assert await probe(address, 0.05) is None


async def test_something_that_speaks_no_http(path: Path, address: str) -> None:
    async with instance(path, b"SSH-2.0-x\r\n\r\n"):
        with pytest.raises(PlatError, match="not HTTP"):
            await wait_ready(address, soon(0.5))
        assert await probe(address, 1) is None


async def test_the_last_attempt_is_cut_short_and_the_answers_before_are_what_was_seen(
    path: Path, address: str
) -> None:
    hold = asyncio.Event()
    async with instance(path, b"SSH-2.0-x\r\n\r\n", hold=hold) as requests, asyncio.TaskGroup() as group:
        waiting = group.create_task(failure(address, soon(0.5)))
        hold.set()
        while not requests:  # noqa: ASYNC110 - a deadline is the suite's
            await asyncio.sleep(0.001)
        hold.clear()
    assert "not HTTP" in waiting.result()


async def test_a_load_error_ends_the_waiting_at_once(path: Path, address: str) -> None:
    body = b'{"code":"handler_not_found","detail":"no handler","traceback":"main.py"}'
    answer = b"HTTP/1.1 503 X\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    async with instance(path, answer) as requests:
        with pytest.raises(PlatError, match="no handler") as raised:
            await wait_ready(address, soon())
    assert (raised.value.code, raised.value.traceback) == ("handler_not_found", "main.py")
    assert len(requests) == 1


async def test_a_foreign_server_is_ready(path: Path, address: str) -> None:
    async with instance(path, b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"):
        assert await wait_ready(address, soon()) == Health()


async def test_over_tcp() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 500 Oh\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert await wait_ready(f"tcp:127.0.0.1:{port}", soon()) == Health()
    with pytest.raises(Unreachable):
        await probe(f"tcp:127.0.0.1:{port}", 1)


async def test_probe_of_one_that_is_gone(path: Path, address: str) -> None:
    with pytest.raises(Unreachable):
        await probe(address, 1)
    async with instance(path, READY):
        assert await probe(address, 5) == ME
