"""`plat router` with its garbage collector watched, and set as a variant says. The router does not know.

usage: python -m bench.watched_router --variant NAME --report SOCKET --index N
Whoever asks at the socket is told what the collector did since the last time (bench.collector).
"""

import argparse
import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec

from bench.collector import COLLECT, Watch
from cli.services import run_service
from plat.settings import Settings
from plat.tasks import cancel, spawn
from router.server import serve

SHIPPED, DISABLED, UNFROZEN = "shipped", "disabled", "unfrozen"

VARIANTS: dict[str, Callable[[], None] | None] = {
    SHIPPED: None,
    DISABLED: gc.disable,
    UNFROZEN: gc.unfreeze,
}
"""What is done once the router is ready; it has frozen what was there by then."""

LOOK_S = 0.01


class Reporter(asyncio.Protocol):
    """Answers one question, and hangs up."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by type

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if data == COLLECT:
            gc.collect()
        self._transport.write(msgspec.json.encode(self._watch.take(gc.get_stats())))
        self._transport.close()


async def report(variant: str, path: Path) -> None:
    """For ever, from when the router is ready."""
    while not gc.get_freeze_count():  # noqa: ASYNC110 - nothing in the router tells of it
        await asyncio.sleep(LOOK_S)
    if (change := VARIANTS[variant]) is not None:
        change()
    watch = Watch(gc.get_stats())
    gc.callbacks.append(watch)
    server = await asyncio.get_running_loop().create_unix_server(lambda: Reporter(watch), str(path))
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.watched_router")
    parser.add_argument("--variant", choices=list(VARIANTS), required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--index", type=int, default=0)
    chosen = parser.parse_args()

    async def watched(settings: Settings, stop: asyncio.Event) -> None:
        reporting = spawn(report(chosen.variant, chosen.report), "collector report")
        try:
            await serve(settings, stop, index=chosen.index)
        finally:
            await cancel(reporting)

    name = f"router-{chosen.index}"
    run_service(name, {name: watched}, None, None)


if __name__ == "__main__":
    main()
