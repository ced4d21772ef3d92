"""What a function can do to the folder of its socket: nothing, so that it cannot fill the disk by it."""

import asyncio
import os
import secrets
import time
from pathlib import Path

import msgspec
import pytest

from plat.feed import VersionEntry
from plat.model import VersionSpec
from pool.drivers.base import Kind, StartOrder, WarmOrder
from pool.health import load, probe, wait_ready
from tests.integration.pool.platform import PATIENCE_S, Platform, call, eventually
from tests.integration.pool.test_drivers import nothing_left

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(os.getuid() != 0, reason="root: only root can take a folder from its owner"),
]

FILL = """
import os, stat
def attempt(what):
    try:
        what()
    except OSError as error:
        return error.strerror
    return "done"
result = {
    "write": attempt(lambda: open("/run/plat/fill", "w")),
    "folder": attempt(lambda: os.mkdir("/run/plat/folder")),
    "mode": attempt(lambda: os.chmod("/run/plat", 0o777)),
    "remove": attempt(lambda: os.unlink("/run/plat/http.sock")),
    "move": attempt(lambda: os.rename("/run/plat/http.sock", "/run/plat/other")),
    "at import": at_import,
    "variable": "PLAT_SEALED" in os.environ,
}
"""
AT_IMPORT = """
try:
    open("/run/plat/fill", "w")
    at_import = "done"
except OSError as error:
    at_import = error.strerror
"""
FILLED = {
    "write": "Permission denied",
    "folder": "Permission denied",
    "mode": "Operation not permitted",
    "remove": "Permission denied",
    "move": "Permission denied",
    "at import": "Permission denied",
    "variable": False,
}


@pytest.fixture
def greedy(data_dir: Path) -> Path:
    """Code that tries to write into the folder of its socket, at its import and later."""
    code = data_dir / "greedy"
    code.mkdir()
    source = f"{AT_IMPORT}\ndef handler(event, context):\n    scope = dict(at_import=at_import)\n"
    source += f"    exec({FILL!r}, scope)\n    return scope['result']\n"
    (code / "main.py").write_text(source)
    return code


async def test_a_function_cannot_fill_the_disk_by_the_folder_of_its_socket(
    docker_platform: Platform, greedy: Path
) -> None:
    async with docker_platform.open() as driver:
        order = msgspec.structs.replace(docker_platform.order(PLAT_SEALED=""), code=greedy)
        cold = await driver.start(order)
        await wait_ready(cold.address, time.monotonic() + PATIENCE_S)
        warm = await docker_platform.loaded(driver, await docker_platform.warm(driver), code=greedy)
        for each in (cold, warm):
            assert await call(each.address, {}) == FILLED
        began = time.monotonic()
        await asyncio.gather(*(driver.stop(each.instance, grace_s=PATIENCE_S) for each in (cold, warm)))
        assert time.monotonic() - began < PATIENCE_S, "they did not end by themselves"
        await nothing_left(docker_platform, driver)


NODE = """
const fs = require("node:fs");
let atImport = "done";
try { fs.writeFileSync("/run/plat/fill", "x"); } catch (error) { atImport = error.code; }
exports.handler = async () => {
  let later = "done";
  try { fs.writeFileSync("/run/plat/fill", "x"); } catch (error) { later = error.code; }
  return [atImport, later, "PLAT_SEALED" in process.env];
};
"""


async def test_nor_can_one_in_node(docker_platform: Platform, data_dir: Path) -> None:
    code = data_dir / "node"
    code.mkdir()
    (code / "main.js").write_text(NODE)
    spec = VersionSpec("node", "main.handler", "body", 1, 30, 128, 1.0, {})
    version = VersionEntry("version-1", "hello", 7, "0" * 64, spec)
    async with docker_platform.open() as driver:
        cold = await driver.start(StartOrder(secrets.token_hex(8), version, code))
        warm = await driver.warm(WarmOrder(secrets.token_hex(8), Kind.of(spec)))
        for each in (cold, warm):
            await wait_ready(each.address, time.monotonic() + PATIENCE_S)
        placed = await driver.place(StartOrder(warm.instance, version, code))
        await load(warm.address, placed.load, time.monotonic() + PATIENCE_S)
        for each in (cold, warm):
            assert await call(each.address, {}) == ["EACCES", "EACCES", False]
        began = time.monotonic()
        await asyncio.gather(*(driver.stop(each.instance, grace_s=PATIENCE_S) for each in (cold, warm)))
        assert time.monotonic() - began < PATIENCE_S, "they did not end by themselves"
        await nothing_left(docker_platform, driver)


async def test_a_start_whose_pool_was_killed_before_the_folder_was_sealed_goes_on(
    docker_platform: Platform, greedy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance waits with the function's code; the next driver seals the folder."""
    monkeypatch.setattr("pool.drivers.docker_launch.SEAL_POLL_S", 3600)
    async with docker_platform.open() as driver:
        running = await driver.start(msgspec.structs.replace(docker_platform.order(), code=greedy))
        await eventually(lambda: Path(running.address.removeprefix("unix:")).exists(), "its socket is there")
        assert await probe(running.address, 0.3) is None
    async with docker_platform.open() as driver:
        await wait_ready(running.address, time.monotonic() + PATIENCE_S)
        assert await call(running.address, {}) == FILLED
        await driver.stop(running.instance, grace_s=5)
