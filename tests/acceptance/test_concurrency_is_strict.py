"""An instance with `concurrency = 1` never sees two calls at once, whoever calls and however many routers."""

import asyncio
from pathlib import Path

import pytest

from tests.acceptance.load import call_many
from tests.acceptance.platform import platform

CODE = """
import asyncio

inside = 0
overlaps = 0

async def handler(event, context):
    global inside, overlaps
    inside += 1
    overlaps += inside > 1
    await asyncio.sleep(0.001)
    inside -= 1
    return {"overlaps": overlaps}
"""


@pytest.mark.parametrize("killed", [None, "core", "router"])
async def test_two_routers_and_200_clients(folder: Path, killed: str | None) -> None:
    """`killed` gets a kill -9 in the middle. Calls that were in a killed router may fail; none overlaps."""
    with platform(folder, "process", "--routers", "2") as plat:
        plat.deploy("alone", CODE, "[scale]\nconcurrency = 1\nmax = 3\n")

        async def gate(number: int) -> None:
            if number == 2000 and killed is not None:
                await asyncio.to_thread(plat.kill, killed)

        outcomes = await call_many(
            f"{plat.url}/function/alone",
            calls=5000,
            connections=200,
            gate=gate,
            survive_cuts=killed == "router",
        )
        answered = [each for each in outcomes if each.status == 200]
        assert len(answered) >= 5000 - 200 * (killed == "router")
        assert max(each.answer["overlaps"] for each in answered) == 0
        assert len(plat.children("router")) == 2
