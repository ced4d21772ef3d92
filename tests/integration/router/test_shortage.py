"""No connection to an instance can be made, through no fault of its own: it stays, its slot comes back."""

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from plat.feed import Faulted
from plat.model import Problem
from plat.tasks import spawn
from tests.integration.router.conftest import RouterProcess, RunInstance, get
from tests.integration.router.instances import OK
from tests.integration.router.pool_server import PoolServer
from tests.integration.router.wire import Message


def code(answer: Message) -> str:
    return msgspec.json.decode(answer.body, type=Problem).code


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process can open none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = max(int(each.name) for each in Path("/proc/self/fd").iterdir()) + 1
    fillers = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken, hard))
    try:
        while True:
            fillers.append(os.open("/", os.O_RDONLY))
    except OSError:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in fillers:
            os.close(each)


async def test_a_router_without_files_blames_no_instance(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    """The pool would kill it with all calls in it, and its successors too."""
    instance = await run_instance()
    wire = await router.connect()
    assert instance.connections == 0
    with no_more_files():
        await wire.send(get())
        answer = await wire.answer()
    assert (answer.status, code(answer)) == (503, "too_many_connections")
    assert answer.get("Retry-After") == "1"
    await wire.send(get())
    assert (await wire.answer()).status == 200
    assert pool.heard(Faulted) == []
    assert 'plat_upstream_errors_total{function="f",reason="no_connection"} 1' in await router.metrics()


class Busy:
    """An instance that takes no connection until it is told to: one waits in its queue already."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(0)
        self._first = socket.socket(socket.AF_UNIX)
        self._first.connect(str(path))
        self._server: asyncio.Server | None = None

    async def take_connections(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, sock=self._listener)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            await writer.drain()
            await reader.read()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def close(self) -> None:
        self._first.close()
        if self._server is not None:
            self._server.close()
        self._listener.close()


async def test_a_full_queue_of_an_instance_is_waited_for(
    router: RouterProcess, pool: PoolServer, data_dir: Path
) -> None:
    busy = Busy(data_dir / "busy.sock")
    await pool.add("a", f"unix:{data_dir / 'busy.sock'}", 1)
    call = spawn(router.get(), "call")
    await router.until_metrics('plat_in_flight{function="f"} 1')
    await asyncio.sleep(0.05)
    await busy.take_connections()
    assert (await call).status == 200
    assert pool.heard(Faulted) == []
    busy.close()


async def test_a_queue_that_stays_full_is_no_fault(
    router: RouterProcess, pool: PoolServer, data_dir: Path
) -> None:
    busy = Busy(data_dir / "busy.sock")
    await pool.add("a", f"unix:{data_dir / 'busy.sock'}", 1)
    answer = await router.get()
    assert (answer.status, code(answer)) == (503, "no_instance")
    assert answer.get("Retry-After") == "1"
    await busy.take_connections()
    assert (await router.get()).status == 200
    assert pool.heard(Faulted) == []
    busy.close()
