"""A driver under test, what it told, and calls to its instances."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec

from plat.address import Address
from plat.feed import VersionEntry
from plat.model import VersionSpec
from plat.settings import Settings
from pool.drivers.base import Driver, Exited, Kind, Listener, Running, StartOrder, WarmOrder, Written
from pool.health import load, wait_ready

PATIENCE_S = 20.0

FUNCTION = """
import os, signal, sys, time

print("imported")

def handler(event, context):
    match event:
        case {"echo": value}:
            return value
        case {"exit": status}:
            print("the last words", file=sys.stderr)
            os._exit(status)
        case {"signal": number}:
            os.kill(os.getpid(), number)
            time.sleep(10)
        case {"allocate_mb": size}:
            block = bytearray(os.urandom(1 << 20) * size)
            time.sleep(10)
        case {"print": lines}:
            for line in lines:
                print(line, flush=True)
        case {"sleep": seconds}:
            print("asleep", flush=True)
            time.sleep(seconds)
        case {"python": code}:
            scope = {}
            exec(code, scope)
            return scope["result"]
"""


class Heard:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.exits: list[Exited] = []
        self.written: list[Written] = []
        self.changes = 0
        self.kept: dict[str, datetime] = {}
        self.listener = Listener(self.exits.append, self._changed, self._wrote, self.kept.get)

    def messages(self, instance: str, stream: str = "stdout") -> list[str]:
        return [each.message for each in self.written if (each.instance, each.stream) == (instance, stream)]

    def _changed(self) -> None:
        self.changes += 1

    def _wrote(self, written: Written) -> None:
        self.written.append(written)
        self.kept[written.instance] = written.time


class Platform(NamedTuple):
    """One platform: `make` makes a driver of it, as a pool does at each of its starts."""

    settings: Settings
    make: Callable[[Settings], Driver]
    code: Path

    @asynccontextmanager
    async def open(self, heard: Heard | None = None) -> AsyncIterator[Driver]:
        driver = self.make(self.settings)
        await driver.open((heard or Heard()).listener)
        try:
            yield driver
        finally:
            await driver.close()

    def order(self, *, memory_mb: int = 128, **env: str) -> StartOrder:
        spec = VersionSpec("python", "main.handler", "body", 1, 30, memory_mb, 1.0, env)
        version = VersionEntry("version-1", "hello", 7, "0" * 64, spec)
        return StartOrder(secrets.token_hex(8), version, self.code)

    async def ready(self, driver: Driver, **options: Any) -> Running:
        running = await driver.start(self.order(**options))
        await wait_ready(running.address, time.monotonic() + PATIENCE_S)
        return running

    async def warm(self, driver: Driver, *, memory_mb: int = 128) -> Running:
        """Started, and heard to say that it is warm."""
        order = WarmOrder(secrets.token_hex(8), Kind("python", memory_mb, 1.0))
        running = await driver.warm(order)
        health = await wait_ready(running.address, time.monotonic() + PATIENCE_S)
        assert health.warm
        return running

    async def loaded(
        self, driver: Driver, warm: Running, *, code: Path | None = None, **options: Any
    ) -> Running:
        """The warm instance, made one of the function."""
        order = self.order(**options)
        order = msgspec.structs.replace(order, instance=warm.instance, code=code or order.code)
        placed = await driver.place(order)
        await load(placed.running.address, placed.load, time.monotonic() + PATIENCE_S)
        return placed.running


async def call(address: str, event: object) -> Any:
    path = Address.parse(address).path
    connector = aiohttp.UnixConnector(path) if path else aiohttp.TCPConnector()
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post("http://instance/", json=event) as response,
    ):
        return await (response.text() if response.content_type == "text/plain" else response.json())


async def call_that_ends_it(address: str, event: object) -> None:
    try:
        await call(address, event)
    except aiohttp.ClientError:
        return
    raise AssertionError("the instance answered; it was to end")


async def eventually(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"within {PATIENCE_S} s it did not happen: {what}"
        await asyncio.sleep(0.01)
