"""Control is killed (SIGKILL) at bad moments; after a restart nothing is stuck."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from plat.settings import Settings
from plat.tasks import spawn
from plat.web import session_for
from tests.integration.control.fake_pool import FakePool
from tests.integration.control.platform import Client, code, settings_in, until, until_healthy

ROOT = Path(__file__).parents[3]


class Core:
    """Control and builder in a process of their own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        assert self.settings.control.path
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.integration.control.run_control"),
            *(str(self.settings.data_dir), str(self.settings.control)),
            cwd=ROOT,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with session_for(self.settings.control) as session:
            await until_healthy(session)

    async def end(self, how: signal.Signals) -> int:
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), 20)


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[FakePool]:
    pool = FakePool()
    await pool.start(settings_in(tmp_path).pool)
    yield pool
    await pool.stop()


@asynccontextmanager
async def core_in(folder: Path) -> AsyncIterator[tuple[Core, Client]]:
    core = Core(settings_in(folder))
    await core.start()
    call = Client(core.settings)
    try:
        yield core, call
    finally:
        await call.session.close()
        await core.end(signal.SIGKILL)


async def test_killed_during_the_verification(tmp_path: Path, pool: FakePool) -> None:
    async with core_in(tmp_path) as (core, call):
        await call.create("hello")
        assert (await call.deploy("hello", code("v1"))).status == 201
        pool.hold()
        deploy = spawn(_outcome(call.deploy("hello", code("v2"))), "deploy")
        await pool.asked.wait()
        assert await core.end(signal.SIGKILL) == -signal.SIGKILL
        assert await deploy is False
        pool.release()
        await core.start()
        assert (await call("GET", "/v1/functions/hello")).json["live"] == 1
        version = (await call("GET", "/v1/functions/hello/versions/2")).json
        assert (version["state"], version["error"]["code"]) == ("failed", "shutting_down")
        assert (await call.deploy("hello", code("v2"))).json["version"] == 3


async def test_killed_during_the_upload(tmp_path: Path, pool: FakePool) -> None:
    temporary = tmp_path / "tmp" / "builder"
    async with core_in(tmp_path) as (core, call):
        await call.create("hello")

        async def endless() -> AsyncIterator[bytes]:
            yield code()[:50]
            await asyncio.Event().wait()

        deploy = spawn(_outcome(call.deploy("hello", endless())), "deploy")
        await until(lambda: temporary.exists() and any(temporary.iterdir()))
        await core.end(signal.SIGKILL)
        assert await deploy is False
        await core.start()
        assert list(temporary.iterdir()) == []
        assert (await call("GET", "/v1/functions/hello/versions")).json["items"] == []
        assert (await call.deploy("hello")).json["version"] == 1


async def test_killed_while_changes_are_made(tmp_path: Path, pool: FakePool) -> None:
    """What was answered is there afterwards, whenever the kill comes."""
    async with core_in(tmp_path) as (core, call):
        answered: list[str] = []

        async def create() -> None:
            for number in range(10_000):
                await call.create(f"f{number}")
                answered.append(f"f{number}")

        creating = spawn(_outcome(create()), "creating")
        await until(lambda: len(answered) >= 20)
        await core.end(signal.SIGKILL)
        assert await creating is False
        await core.start()
        page = (await call("GET", "/v1/functions?limit=1000")).json["items"]
        assert set(answered) <= {each["name"] for each in page}
        assert len(page) <= len(answered) + 1


async def test_ended_as_usual_it_leaves_no_socket(tmp_path: Path, pool: FakePool) -> None:
    async with core_in(tmp_path) as (core, call):
        assert (await call("GET", "/v1/functions")).status == 200
        assert await core.end(signal.SIGTERM) == 0
        assert core.settings.control.path and core.settings.builder.path
        assert not Path(core.settings.control.path).exists()
        assert not Path(core.settings.builder.path).exists()


async def _outcome(work: Awaitable[object]) -> bool:
    """Whether it came to its end; False when the connection broke."""
    try:
        await work
    except (aiohttp.ClientError, OSError):
        return False
    return True
