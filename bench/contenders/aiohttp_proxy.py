"""What one writes first: an aiohttp server that passes calls on with a ClientSession, under uvloop.

usage: python -m bench.contenders.aiohttp_proxy PORT NAME=ADDRESS...
"""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import uvloop
from aiohttp import web

from bench.contenders.base import Contender, Running, ready
from bench.processes import free_port, python, running
from bench.request import Upstreams, path_of
from plat.address import Address

HOP_BY_HOP = frozenset({"connection", "keep-alive", "host", "content-length", "transfer-encoding"})


@contextmanager
def start(folder: Path, upstreams: Upstreams) -> Iterator[Running]:
    port, log = free_port(), folder / "aiohttp.log"
    pairs = [f"{name}={address}" for name, address in upstreams.items()]
    with running(python(__name__, str(port), *pairs), log) as process:
        yield ready(Running("aiohttp", port, (process.pid,)), upstreams, process, log)


AIOHTTP = Contender("aiohttp", (), start)


def application(upstreams: Upstreams) -> web.Application:
    app = web.Application(client_max_size=8 * 1024 * 1024)
    for name, address in upstreams.items():
        app.cleanup_ctx.append(Forwarder(app, name, address).session_context)
    return app


class Forwarder:
    """Passes the calls of one function on."""

    def __init__(self, app: web.Application, name: str, address: Address) -> None:
        self._address = address
        self._session: aiohttp.ClientSession | None = None
        app.router.add_route("*", path_of(name), self.handle)

    async def session_context(self, app: web.Application) -> AsyncIterator[None]:
        unix = self._address.path
        connector = aiohttp.UnixConnector(unix, limit=0) if unix else aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as self._session:
            yield

    @property
    def _url(self) -> str:
        return "http://upstream/" if self._address.path else f"http://127.0.0.1:{self._address.port}/"

    async def handle(self, request: web.Request) -> web.Response:
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        data = await request.read() if request.body_exists else None
        async with self._session.request(request.method, self._url, data=data, headers=headers) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())


def main() -> None:
    pairs = (each.split("=", 1) for each in sys.argv[2:])
    upstreams = {name: Address.parse(address) for name, address in pairs}
    app = application(upstreams)
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=None,
        backlog=4096,
        keepalive_timeout=3600,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    main()
