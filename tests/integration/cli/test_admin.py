"""The admin port over services that answer, refuse, or are not there."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from cli.admin import Services, admin_app, start_admin
from cli.failure import FailedError
from plat.address import Address
from plat.settings import Settings
from plat.web import start_site


def a_service(metrics: str, ready: str = "") -> web.Application:
    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(text=metrics)

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text=ready or "ok", status=503 if ready else 200)

    app = web.Application()
    app.add_routes([web.get("/metrics", show_metrics), web.get("/readyz", readyz)])
    return app


class Admin:
    """An admin port over two routers, control, pool and builder, of which each test starts some."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.settings = Settings(data=str(folder), routers=2)
        self.port = 0
        self._stack = stack

    async def open(self) -> None:
        app = admin_app(Services(self.settings), lambda: {"core": 3})
        runner = await start_admin(app, 0)
        self._stack.push_async_callback(runner.cleanup)
        self.port = runner.addresses[0][1]

    async def start(self, name: str, app: web.Application) -> None:
        path = str(self.settings.run_dir / f"{name}.sock")
        runner = await start_site(app, Address(path=path))
        self._stack.push_async_callback(runner.cleanup)

    async def get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.text()


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with AsyncExitStack() as stack:
        admin = Admin(tmp_path, stack)
        await admin.open()
        yield admin


async def test_metrics_of_all_are_one(admin: Admin) -> None:
    text = '# TYPE calls_total counter\ncalls_total{f="x"} 2\n'
    for name in ("router-0", "router-1", "control"):
        await admin.start(name, a_service(text))
    status, summed = await admin.get("/metrics")
    assert status == 200
    assert 'calls_total{f="x"} 6.0\n' in summed
    assert 'plat_service_up{service="router-1"} 1.0\n' in summed
    assert 'plat_service_up{service="pool"} 0.0\n' in summed
    assert 'plat_service_restarts_total{service="core"} 3.0\n' in summed


async def test_ready_when_every_router_is(admin: Admin) -> None:
    await admin.start("router-0", a_service(""))
    status, said = await admin.get("/readyz")
    assert status == 503
    assert said.startswith("router-1: ")
    await admin.start("router-1", a_service(""))
    assert await admin.get("/readyz") == (200, "ok\n")


async def test_what_a_router_waits_for_is_said(admin: Admin) -> None:
    await admin.start("router-0", a_service("", ready="no routes yet\n"))
    await admin.start("router-1", a_service(""))
    assert await admin.get("/readyz") == (503, "router-0: no routes yet\n")


async def test_healthy_as_long_as_it_answers(admin: Admin) -> None:
    assert await admin.get("/healthz") == (200, "ok\n")


async def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(FailedError, match=f"Port {port} is in use: choose another with --admin-port"):
            await start_admin(web.Application(), port)
