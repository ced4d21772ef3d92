"""Control and builder as they are, a fake pool, and a client: what the tests of the API talk to."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

import builder.service
import control.service
from plat.settings import Settings
from plat.tasks import spawn
from plat.web import session_for
from tests.integration.control.fake_pool import FakePool
from tests.unit.builder.zips import zip_of

TOKEN = "secret-token"
DEADLINE_S = 20


def code(text: str = "v1") -> bytes:
    return zip_of(("main.py", f"def handler(event, context):\n    return {text!r}\n"))


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Client:
    """Requests to the control service's socket, with the token unless told otherwise."""

    def __init__(self, settings: Settings) -> None:
        self.session = session_for(settings.control)
        self.session.headers["Authorization"] = f"Bearer {TOKEN}"

    async def __call__(self, method: str, path: str, json: Any = None, **options: Any) -> Answer:
        if json is not None:
            options["data"] = io.BytesIO(msgspec.json.encode(json))
            options["headers"] = {"Content-Type": "application/json", **options.get("headers", {})}
        async with self.session.request(method, path, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def deploy(self, name: str, data: Any = None, **options: Any) -> Answer:
        headers = {"Content-Type": "application/zip", **options.pop("headers", {})}
        body = code() if data is None else data
        return await self("POST", f"/v1/functions/{name}/versions", data=body, headers=headers, **options)

    async def create(self, name: str, **spec: Any) -> None:
        assert (await self("PUT", f"/v1/functions/{name}", spec)).status == 201


@dataclass
class Platform:
    settings: Settings
    pool: FakePool
    call: Client

    @property
    def artifacts(self) -> set[str]:
        return {path.name for path in (self.settings.data_dir / "artifacts").glob("??/*")}

    @property
    def leftovers(self) -> list[Path]:
        return list((self.settings.data_dir / "tmp").rglob("*.*")) + list(
            (self.settings.data_dir / "tmp" / "builder").glob("*")
        )


def settings_in(folder: Path | str, **changes: Any) -> Settings:
    return Settings(data=str(folder), token=TOKEN, **changes)


@asynccontextmanager
async def running(serve: Any, settings: Settings, name: str) -> AsyncIterator[asyncio.Event]:
    """A service, ready; stopped at the end as a user stops it."""
    stop = asyncio.Event()
    task = spawn(serve(settings, stop), name)
    async with session_for(getattr(settings, name)) as session:
        await until_healthy(session, task)
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(task, DEADLINE_S)


@asynccontextmanager
async def platform_in(settings: Settings, pool: FakePool | None = None) -> AsyncIterator[Platform]:
    pool = pool or FakePool()
    await pool.start(settings.pool)
    try:
        async with (
            running(builder.service.serve, settings, "builder"),
            running(control.service.serve, settings, "control"),
        ):
            call = Client(settings)
            try:
                yield Platform(settings, pool, call)
            finally:
                await call.session.close()
    finally:
        await pool.stop()


async def until_healthy(session: aiohttp.ClientSession, task: "asyncio.Task[None] | None" = None) -> None:
    """Wait until the service answers; what ends `task` before that is raised."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if task is not None and task.done():
                await task
            try:
                async with session.get("/healthz") as response:
                    assert response.status == 200
                    return
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.005)


async def until(condition: Any, deadline_s: float = DEADLINE_S) -> None:
    """Wait for something to become true, looking often; fails at the deadline."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 - the condition is another process's or task's
            await asyncio.sleep(0.005)
