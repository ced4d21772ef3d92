"""kill -9 of the pool at every step of an instance's life: whoever waits is answered, nothing is left behind.

Each test goes once through cold starts (warm and not), pausing, resuming, eviction and the end, with calls
waiting all along, over two routers.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.mortal import steps
from tests.acceptance.platform import instance_containers
from tests.acceptance.split import SplitPlatform, split_platform

CODE = """
import asyncio, os

inside = 0
overlaps = 0

async def handler(event, context):
    global inside, overlaps
    inside += 1
    overlaps += inside > 1
    await asyncio.sleep(event["seconds"])
    inside -= 1
    return {"name": context.function_name, "code": "%(name)s", "overlaps": overlaps,
            "files": sorted(each for each in os.listdir(os.path.dirname(__file__)) if each[0] != "_")}
"""

SCALE = "[scale]\nconcurrency = 1\nmax = %d\nidle_s = 1.0\npause_after_s = 0.5\n[limits]\nmemory_mb = %d\n"

FUNCTIONS = {"quick": SCALE % (2, 64), "other": SCALE % (1, 64), "large": SCALE % (1, 250)}
MEMORY_MB = 300
"""No room for `large` beside any other."""

WARM = 1
CYCLES = 4
"""A step may be passed over once: a warm instance was not there yet, or a fork server."""


class World:
    """The functions of a platform whose pool dies."""

    def __init__(self, plat: SplitPlatform, session: aiohttp.ClientSession) -> None:
        self.plat = plat
        self._session = session

    async def live(self) -> None:
        """Through all that an instance can come to."""
        await self._pause("quick")
        await asyncio.gather(self.call("quick"), self.call("quick"))
        await self.call("other")
        await self.call("large")
        await self.call("quick")
        for name in FUNCTIONS:
            await self._until(lambda found: not found, name)

    async def _pause(self, name: str) -> None:
        """On a busy machine they may be gone before they were seen paused."""
        async with asyncio.timeout(40):
            found: list[str] = []
            while "paused" not in found:
                await asyncio.gather(*(self.call(name, 0.05) for _ in range(4)))
                found = await self._until(lambda found: not found or "paused" in found, name)

    async def call(self, name: str, seconds: float = 0.0) -> None:
        url = f"{self.plat.url}/function/{name}"
        async with self._session.post(url, json={"seconds": seconds}) as response:
            text = await response.text()
        assert response.status == 200, f"{name}: {text}"
        answer = json.loads(text)
        assert (answer["name"], answer["code"], answer["overlaps"]) == (name, name, 0)
        assert answer["files"] == ["main.py", f"only_{name}.py"], "the code of another is there too"

    async def _until(self, holds: Callable[[list[str]], bool], name: str) -> list[str]:
        async with asyncio.timeout(40):
            while True:
                found = await self._states(name)
                if found is not None and holds(found):
                    return found
                await asyncio.sleep(0.05)

    async def _states(self, name: str) -> list[str] | None:
        """None: the pool is away."""
        url = f"{self.plat.url}/v1/functions/{name}/instances"
        headers = {"Authorization": f"Bearer {self.plat.environ['PLAT_TOKEN']}"}
        async with self._session.get(url, headers=headers) as response:
            content = await response.json()
        return [each["state"] for each in content["items"]] if response.status == 200 else None

    async def nothing_but_warm(self) -> None:
        """What is left on the machine is one warm instance."""
        await self.plat.until(lambda: len(self.left()) <= WARM, 40)

    def left(self) -> set[str]:
        """Instances by all that there may be of them."""
        folders = self.plat.data / "run" / "instances"
        found = {path.name.strip(".").split(".")[0] for path in folders.iterdir()}
        codes = self.plat.data / "warm"
        if codes.exists():
            found |= {path.name for path in codes.iterdir()}
        return found


@pytest.fixture(scope="module")
def plat(folder: Path, driver: str) -> Iterator[SplitPlatform]:
    variables = {"PLAT_MEMORY_MB": str(MEMORY_MB), "PLAT_WARM": str(WARM), "PLAT_DOCKER_NETWORK": "none"}
    with split_platform(folder / driver, driver, **variables) as running:
        for name, toml in FUNCTIONS.items():
            path = running.write(name, CODE % {"name": name}, toml)
            (path / f"only_{name}.py").write_text("")
            running.plat("deploy", str(path))
        yield running


@asynccontextmanager
async def world(plat: SplitPlatform) -> AsyncIterator[World]:
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(force_close=True)  # so that both routers have some
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        yield World(plat, session)


EVERY = 1 if os.environ.get("PLAT_TEST_EVERY_DEATH") else 7
"""All of them take half an hour: without this variable some are tried, of each moment of a step."""

FIRST = date.today().toordinal() % EVERY
"""Others each day: in a week all of them."""


@pytest.mark.parametrize("driver", ["process"], indirect=True, scope="module")
@pytest.mark.parametrize("step", steps("process")[FIRST::EVERY])
async def test_processes_of_a_pool_killed_at(plat: SplitPlatform, step: str) -> None:
    await killed_at(plat, step)


@pytest.mark.docker
@pytest.mark.parametrize("driver", ["docker"], indirect=True, scope="module")
@pytest.mark.parametrize("step", steps("docker")[FIRST::EVERY])
async def test_containers_of_a_pool_killed_at(plat: SplitPlatform, step: str) -> None:
    await killed_at(plat, step)


async def killed_at(plat: SplitPlatform, step: str) -> None:
    deaths = plat.deaths
    plat.death.with_suffix(".new").write_text(step)
    plat.death.with_suffix(".new").rename(plat.death)
    expected = deaths + 1
    if ".list" in step:  # done at the start
        plat.kill_pool()
        expected += 1
    async with world(plat) as all_:
        for _ in range(1 if step.startswith("within") else CYCLES):
            await all_.live()
            if plat.deaths == expected:
                break
        else:
            plat.death.unlink()
            assert step.startswith("within"), "it never came to this step"  # others are over too soon
        await all_.nothing_but_warm()
    if plat.driver == "docker":
        assert len(instance_containers(plat.data, plat.environ)) <= WARM
