"""10,000 functions on one machine, 300 of them called: every call is answered, in the memory there is."""

import asyncio
import random
import secrets
import sqlite3
import time
from collections import Counter
from contextlib import closing
from itertools import accumulate
from pathlib import Path

import aiohttp

from tests.acceptance.platform import Platform, instance_containers, instance_processes, platform

REGISTERED = 10_000
CALLED = 300
CLIENTS = 8
LOAD_S = {"process": 20.0, "docker": 40.0}
LEAST_CALLS = {"process": 200, "docker": 20}
"""Most find no instance, and an engine makes few containers in that time."""

SIZE_MB = 128
INSTANCES = 16
"""That the memory setting has room for; far fewer than functions are called."""

CODE = """
def handler(event, context):
    return {"function": context.function_name}
"""

_FUNCTION = """
INSERT INTO functions (name, spec, live, stopped, created_at, updated_at)
SELECT ?, json_set(spec, '$.name', ?), live, stopped, created_at, updated_at FROM functions WHERE name = ?
"""
_VERSION = """
INSERT INTO versions (id, function, number, state, spec, digest, size_bytes, error, created_at)
SELECT ?, ?, number, state, spec, digest, size_bytes, error, created_at FROM versions WHERE function = ?
"""

NAMES = [f"f{number:05}" for number in range(REGISTERED)]


def register(database: Path, template: str) -> None:
    """Copies of a deployed function: a deploy each would take half an hour."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(_FUNCTION, [(name, name, template) for name in NAMES])
        connection.executemany(_VERSION, [(secrets.token_hex(8), name, template) for name in NAMES])


class Load:
    """Calls with Zipf popularity (exponent 1), each client's one after the other."""

    def __init__(self, url: str, seed: int) -> None:
        self._url = url
        self._chance = random.Random(seed)
        self._popular = self._chance.sample(NAMES, CALLED)
        self._weights = list(accumulate(1 / rank for rank in range(1, CALLED + 1)))
        self.answered: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def run(self, until: float) -> None:
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self._client(session, until))

    async def _client(self, session: aiohttp.ClientSession, until: float) -> None:
        while time.monotonic() < until:
            (name,) = self._chance.choices(self._popular, cum_weights=self._weights)
            async with session.post(f"{self._url}/function/{name}", json={}) as answer:
                text = await answer.text()
            self.answered[name] += 1
            if answer.status != 200 or text != f'{{"function":"{name}"}}':
                self.wrong.append(f"{name}: {answer.status} {text}")


def instances(plat: Platform) -> int:
    """Warm ones and those that end too."""
    if plat.driver == "docker":
        return len(instance_containers(plat.data, plat.environ))
    return len(instance_processes(plat.data))


async def watch(plat: Platform, until: float) -> int:
    """The most instances that were there at a time."""
    most = 0
    while time.monotonic() < until:
        most = max(most, await asyncio.to_thread(instances, plat))
        await asyncio.sleep(0.2)
    return most


async def test_ten_thousand_functions(folder: Path, driver: str) -> None:
    memory = {"PLAT_MEMORY_MB": str(INSTANCES * SIZE_MB), "PLAT_WARM": "1", "PLAT_WARM_LIMIT": "2"}
    with platform(folder / driver, driver, **memory) as plat:
        plat.deploy("template", CODE, f"[limits]\nmemory_mb = {SIZE_MB}\n")
        plat.stop()
        register(plat.data / "plat.db", "template")
        plat.start()
        assert [each["name"] for each in plat.plat_json("list")] == [*NAMES, "template"]
        assert plat.plat("invoke", NAMES[-1]) == f'{{"function":"{NAMES[-1]}"}}'

        until = time.monotonic() + LOAD_S[driver]
        load = Load(plat.url, seed=1)
        deploying = asyncio.to_thread(plat.deploy, "late", CODE)
        _, most, late = await asyncio.gather(load.run(until), watch(plat, until), deploying)
        assert load.wrong == []
        assert len(load.answered) > INSTANCES, "without more functions than room nothing was evicted"
        assert load.answered.total() > LEAST_CALLS[driver], "this was no load"
        assert most <= 2 * INSTANCES
        assert late["version"] == 1
        assert plat.plat("invoke", "late") == '{"function":"late"}'
        plat.plat("delete", NAMES[0], "--yes")
        assert plat.run("invoke", NAMES[0]).code == 1
