"""One slow call and 100 fast ones, one at a time in an instance: no fast one waits for the slow one."""

import asyncio

import aiohttp

from tests.acceptance.platform import Platform

CODE = """
import asyncio

async def handler(event, context):
    yield "begun"
    while event["is_slow"]:
        await asyncio.sleep(0.05)
        yield "."
"""

TOML = "[scale]\nconcurrency = 1\nmax = 2\n[limits]\ntimeout_s = 120\n"
FAST = 100


async def test_no_fast_call_waits_for_the_slow_one(plat: Platform) -> None:
    """The slow one goes on for as long as somebody listens to it."""
    plat.deploy("mixed", CODE, TOML)
    url = f"{plat.url}/function/mixed"
    timeout = aiohttp.ClientTimeout(total=100)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(url, json={"is_slow": True}) as slow,
    ):
        assert slow.status == 200
        assert await slow.content.readexactly(5) == b"begun"
        answers = await asyncio.gather(*(_call(session, url) for _ in range(FAST)))
        assert answers == [(200, "begun")] * FAST
        assert await slow.content.readexactly(1) == b".", "it is under way still"
        assert len(plat.instances("mixed")) == 2


async def _call(session: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    async with session.post(url, json={"is_slow": False}) as response:
        return response.status, await response.text()
