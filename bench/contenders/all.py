"""The list of contenders, and all that are installed running side by side."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.backend import backend
from bench.contenders.aiohttp_proxy import AIOHTTP
from bench.contenders.base import Running
from bench.contenders.caddy import CADDY
from bench.contenders.go_proxy import GO
from bench.contenders.haproxy import HAPROXY
from bench.contenders.nginx import NGINX
from bench.contenders.router import COMPILED, ROUTER
from bench.request import Upstreams

CONTENDERS = (ROUTER, COMPILED, NGINX, HAPROXY, GO, CADDY, AIOHTTP)


class Field(NamedTuple):
    """All that take part, in front of the same upstreams. An idle one costs the others nothing."""

    folder: Path
    upstreams: Upstreams
    running: tuple[Running, ...]
    skipped: dict[str, str]
    """Name -> why."""

    def get(self, name: str) -> Running | None:
        return next((each for each in self.running if each.name == name), None)


@contextmanager
def field(folder: Path) -> Iterator[Field]:
    skipped = {each.name: reason for each in CONTENDERS if (reason := each.missing()) is not None}
    with ExitStack() as stack:
        upstreams = stack.enter_context(backend(folder / "backend"))
        started = []
        for contender in CONTENDERS:
            if contender.name not in skipped:
                own = folder / contender.name.replace(" ", "-")
                own.mkdir()
                try:
                    started.append(stack.enter_context(contender.start(own, upstreams)))
                except RuntimeError as error:
                    if contender is ROUTER:
                        raise
                    skipped[contender.name] = f"it did not start: {str(error).splitlines()[-1]}"
        yield Field(folder, upstreams, tuple(started), skipped)
