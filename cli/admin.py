"""The admin port of `plat up`: `/metrics` of all services as one, `/healthz` and `/readyz`."""

import asyncio
from collections.abc import Callable

import aiohttp
from aiohttp import web

from cli.expositions import sum_expositions
from cli.failure import FailedError
from plat.address import Address
from plat.logs import get_logger
from plat.settings import Settings
from plat.web import session_for, start_site

log = get_logger(__name__)

FETCH_TIMEOUT_S = 3
METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

FETCH_ERRORS = (aiohttp.ClientError, OSError, TimeoutError)


class Services:
    """Where the services answer, and what they say of themselves."""

    def __init__(self, settings: Settings) -> None:
        self.routers = {
            f"router-{index}": Address(path=str(settings.run_dir / f"router-{index}.sock"))
            for index in range(settings.routers)
        }
        self.all = self.routers | {
            "control": settings.control,
            "pool": settings.pool,
            "builder": settings.builder,
        }

    async def not_ready(self) -> list[str]:
        """A line for each router that cannot serve yet, with its reason; empty when all can."""
        said = await asyncio.gather(*(_readiness(*each) for each in self.routers.items()))
        return [line for line in said if line]

    async def metrics(self) -> dict[str, str | None]:
        """Each service's metrics; None for one that does not answer."""
        texts = await asyncio.gather(*(_metrics(*each) for each in self.all.items()))
        return dict(zip(self.all, texts, strict=True))


async def _readiness(name: str, address: Address) -> str:
    try:
        status, text = await fetch(address, "/readyz")
    except FETCH_ERRORS as error:
        return f"{name}: {error or type(error).__name__}"
    return "" if status == 200 else f"{name}: {text.strip()}"


async def _metrics(name: str, address: Address) -> str | None:
    try:
        status, text = await fetch(address, "/metrics")
    except FETCH_ERRORS as error:
        log.warning("no metrics", of=name, detail=str(error) or type(error).__name__)
        return None
    return text if status == 200 else None


async def fetch(address: Address, path: str) -> tuple[int, str]:
    """Status and text of a GET. Raises one of FETCH_ERRORS."""
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
    async with session_for(address) as session, session.get(path, timeout=timeout) as response:
        return response.status, await response.text()


def exposition(texts: dict[str, str | None], restarts: dict[str, int]) -> str:
    """The sum of what the services say, and what only their supervisor knows."""
    lines = [
        "# HELP plat_service_up Whether the service answered this scrape.",
        "# TYPE plat_service_up gauge",
        *(f'plat_service_up{{service="{name}"}} {int(text is not None)}' for name, text in texts.items()),
        "# HELP plat_service_restarts_total Times that the process died and was started again.",
        "# TYPE plat_service_restarts_total counter",
        *(f'plat_service_restarts_total{{service="{name}"}} {count}' for name, count in restarts.items()),
    ]
    return sum_expositions([*(text for text in texts.values() if text is not None), "\n".join(lines)])


def admin_app(services: Services, restarts: Callable[[], dict[str, int]]) -> web.Application:
    async def metrics(_: web.Request) -> web.Response:
        text = exposition(await services.metrics(), restarts())
        return web.Response(body=text.encode(), headers={"Content-Type": METRICS_CONTENT_TYPE})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        missing = await services.not_ready()
        text = "".join(f"{line}\n" for line in missing) or "ok\n"
        return web.Response(text=text, status=503 if missing else 200)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    return app


async def start_admin(app: web.Application, port: int) -> web.AppRunner:
    """Listen on loopback. Raises FailedError when the port is taken."""
    try:
        return await start_site(app, Address(host="127.0.0.1", port=port))
    except OSError as error:
        detail = f"Port {port} is in use: choose another with --admin-port, or stop what uses it."
        raise FailedError(detail) from error
