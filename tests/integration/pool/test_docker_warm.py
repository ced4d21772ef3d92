"""What only the Docker driver does with warm and paused instances."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plat.errors import PlatError
from pool.drivers.base import Kind
from pool.drivers.docker import DockerDriver
from pool.drivers.docker_spec import NO_KIND
from pool.health import probe
from tests.integration.pool.engine_proxy import EngineProxy, engine_proxy
from tests.integration.pool.platform import PATIENCE_S, Heard, Platform, call, eventually
from tests.integration.pool.test_docker import docker
from tests.integration.pool.test_drivers import nothing_left

pytestmark = pytest.mark.docker


def inspect(instance: str) -> dict[str, Any]:
    container = docker("ps", "--all", "--quiet", "--filter", f"label=plat.instance={instance}")
    found: dict[str, Any] = json.loads(docker("inspect", container))[0]
    return found


def name_of(instance: str) -> str:
    return str(inspect(instance)["Name"])


# --- limits, and what can be seen from outside


async def test_a_warm_container_has_the_limits_of_its_kind(docker_platform: Platform) -> None:
    async with docker_platform.open() as driver:
        warm, cold = await asyncio.gather(
            docker_platform.warm(driver, memory_mb=96), docker_platform.ready(driver, memory_mb=96)
        )
        inspected = [inspect(each.instance) for each in (warm, cold)]
        for each in inspected:
            each["HostConfig"]["Mounts"].sort(key=lambda mount: mount["Target"])
            assert {(mount["Destination"], mount["RW"]) for mount in each["Mounts"]} == {
                ("/code", False),
                ("/run/plat", True),
            }
            for mount in each["HostConfig"]["Mounts"]:
                del mount["Source"]
        assert inspected[0]["HostConfig"] == inspected[1]["HostConfig"]
        assert inspected[0]["Config"]["User"] == inspected[1]["Config"]["User"] == "1000:1000"
        await asyncio.gather(*(driver.stop(each.instance, grace_s=5) for each in (warm, cold)))


async def test_what_a_warm_one_is_told_is_not_seen_from_outside(docker_platform: Platform) -> None:
    async with docker_platform.open() as driver:
        warm = await docker_platform.warm(driver)
        running = await docker_platform.loaded(driver, warm, SECRET="hunter2")
        secret = {"python": "import os; result = os.environ['SECRET']"}
        assert await call(running.address, secret) == "hunter2"
        await eventually(lambda: "hello" in name_of(running.instance), "it has the function's name")
        assert "hunter2" not in json.dumps(inspect(running.instance))
        assert name_of(running.instance) == f"/plat-hello.7.version-1.{running.instance}"
        await driver.stop(running.instance, grace_s=5)


async def test_a_placed_function_cannot_change_its_code_or_the_cache(docker_platform: Platform) -> None:
    attempt = """
import os
def refused(what):
    try:
        what()
    except OSError as error:
        return error.strerror
    return None
result = [
    refused(lambda: open("/code/main.py", "a")), refused(lambda: open("/code/new.py", "w")),
    refused(lambda: os.chmod("/code/main.py", 0o777)), refused(lambda: os.unlink("/code/main.py")),
    refused(lambda: os.link("/code/main.py", "/tmp/main.py")), os.stat("/code/main.py").st_uid,
]
"""
    before = (docker_platform.code / "main.py").read_bytes()
    async with docker_platform.open() as driver:
        running = await docker_platform.loaded(driver, await docker_platform.warm(driver))
        *refusals, owner = await call(running.address, {"python": attempt})
        assert (docker_platform.settings.data_dir / "warm" / running.instance / "main.py").samefile(
            docker_platform.code / "main.py"
        )
        await driver.stop(running.instance, grace_s=5)
    assert all(refusals), refusals
    assert owner == os.getuid()
    assert (docker_platform.code / "main.py").read_bytes() == before


# --- whose it is


@pytest.fixture
async def proxy(data_dir: Path) -> AsyncIterator[EngineProxy]:
    async with engine_proxy(data_dir / "engine.sock") as proxy:
        yield proxy


async def test_one_whose_name_was_never_noted_is_of_no_kind_to_the_next_driver(
    docker_platform: Platform, proxy: EngineProxy
) -> None:
    """As after kill -9 of the pool between the placing of the code and the new name: nobody may have it."""
    proxied = docker_platform._replace(make=partial(DockerDriver, url=proxy.url))
    async with proxied.open() as driver:
        warm = await docker_platform.warm(driver)
        await proxy.cut()
        running = await docker_platform.loaded(driver, warm)
        assert await call(running.address, {"echo": "served all the same"}) == "served all the same"
    async with docker_platform.open() as driver:
        [listed] = await driver.list()
        assert (warm.kind, listed.kind) == (Kind("python", 128, 1.0), NO_KIND)
        health = await probe(listed.address, PATIENCE_S)
        assert health is not None
        assert not health.warm
        assert health.function == "hello"
        await driver.stop(listed.instance, grace_s=5)
        await nothing_left(docker_platform, driver)


async def test_a_name_is_noted_when_the_engine_is_there_again(
    docker_platform: Platform, proxy: EngineProxy
) -> None:
    proxied = docker_platform._replace(make=partial(DockerDriver, url=proxy.url))
    async with proxied.open() as driver:
        warm = await docker_platform.warm(driver)
        await proxy.cut()
        running = await docker_platform.loaded(driver, warm)
        await proxy.start()
        await eventually(lambda: "hello" in name_of(running.instance), "it has the function's name")
        await driver.stop(running.instance, grace_s=5)


async def test_what_a_killed_pool_left_in_the_folders_is_cleared(docker_platform: Platform) -> None:
    for folder in ("run/instances", "warm"):
        left = docker_platform.settings.data_dir / folder / "0123456789abcdef" / "below"
        left.mkdir(parents=True)
        (left / "file").touch()
    async with docker_platform.open() as driver:
        warm = await docker_platform.warm(driver)
        assert len(await driver.list()) == 1
        for folder in ("run/instances", "warm"):
            names = [path.name for path in (docker_platform.settings.data_dir / folder).iterdir()]
            assert names == [warm.instance]
        await driver.stop(warm.instance, grace_s=5)
        await nothing_left(docker_platform, driver)
        assert list((docker_platform.settings.data_dir / "warm").iterdir()) == []


@pytest.mark.parametrize("after_s", [0, 0.002, 0.02])
async def test_a_placing_that_is_given_up_leaves_nothing(
    docker_platform: Platform, data_dir: Path, after_s: float
) -> None:
    code = data_dir / "large"
    code.mkdir()
    for number in range(3000):
        (code / f"{number}.py").touch()
    async with docker_platform.open() as driver:
        warm = await docker_platform.warm(driver)
        order = msgspec.structs.replace(docker_platform.order(), instance=warm.instance, code=code)
        placing = asyncio.ensure_future(driver.place(order))  # noqa: TID251 - a bare task is what is tested
        await asyncio.wait([placing], timeout=after_s)
        placing.cancel()
        await asyncio.wait([placing])
        await driver.stop(warm.instance, grace_s=5)
        await nothing_left(docker_platform, driver)
    assert list((docker_platform.settings.data_dir / "warm").iterdir()) == []


async def test_code_that_is_gone_is_told(docker_platform: Platform) -> None:
    async with docker_platform.open() as driver:
        warm = await docker_platform.warm(driver)
        order = msgspec.structs.replace(
            docker_platform.order(), instance=warm.instance, code=Path("/nowhere/at/all")
        )
        with pytest.raises(PlatError, match="/nowhere/at/all"):
            await driver.place(order)
        await driver.stop(warm.instance, grace_s=5)
        await nothing_left(docker_platform, driver)


# --- paused


async def test_a_paused_container_that_somebody_kills_is_told_as_ended(docker_platform: Platform) -> None:
    heard = Heard()
    async with docker_platform.open(heard) as driver:
        killed, removed = await asyncio.gather(docker_platform.ready(driver), docker_platform.ready(driver))
        for each in (killed, removed):
            await driver.pause(each.instance)
        docker("kill", f"plat-hello-{killed.instance}")
        await eventually(lambda: heard.exits, "its end is told")
        assert heard.exits[0].instance == killed.instance
        assert heard.exits[0].detail == "The process was ended by signal 9 (SIGKILL)."
        docker("rm", "--force", f"plat-hello-{removed.instance}")
        await eventually(lambda: len(heard.exits) == 2, "its end is told")
        await nothing_left(docker_platform, driver)


async def test_one_that_ended_cannot_be_resumed(docker_platform: Platform) -> None:
    heard = Heard()
    async with docker_platform.open(heard) as driver:
        running = await docker_platform.ready(driver)
        await driver.pause(running.instance)
        docker("kill", f"plat-hello-{running.instance}")
        with pytest.raises(PlatError):
            await driver.resume(running.instance)
        await eventually(lambda: heard.exits, "its end is told")


async def test_one_paused_that_does_not_end_by_itself_is_killed_after_the_grace(
    docker_platform: Platform, data_dir: Path
) -> None:
    code = data_dir / "stubborn"
    code.mkdir()
    (code / "main.py").write_text(
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef handler(e, c): return 1\n"
    )
    async with docker_platform.open() as driver:
        running = await docker_platform.loaded(driver, await docker_platform.warm(driver), code=code)
        await driver.pause(running.instance)
        await driver.stop(running.instance, grace_s=1)
        await nothing_left(docker_platform, driver)


async def test_pausing_while_the_engine_is_away_says_so(
    docker_platform: Platform, proxy: EngineProxy
) -> None:
    proxied = docker_platform._replace(make=partial(DockerDriver, url=proxy.url))
    async with proxied.open() as driver:
        running = await docker_platform.ready(driver)
        await proxy.cut()
        for attempt in (driver.pause, driver.resume):
            with pytest.raises(PlatError) as raised:
                await attempt(running.instance)
            assert raised.value.code == "engine_unavailable"
        await proxy.start()
        await driver.pause(running.instance)
        await driver.stop(running.instance, grace_s=1)
