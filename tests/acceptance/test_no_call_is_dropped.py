"""10,000 calls over 64 connections while the platform is redeployed, killed and scaled to zero."""

import asyncio
import time

from tests.acceptance.load import Outcome, call_many
from tests.acceptance.platform import Platform

CALLS = 10_000
CONNECTIONS = 64

CODE = """
def handler(event, context):
    return {"number": event["number"], "version": context.function_version, "text": "%s"}
"""

SCALE = "[scale]\nconcurrency = 1\nmax = 4\nidle_s = 1\n"


async def test_redeploy_kill_and_scale_down(plat: Platform) -> None:
    plat.deploy("steady", CODE % "first", SCALE)
    events = _Events(plat)
    outcomes = await call_many(
        f"{plat.url}/function/steady", calls=CALLS, connections=CONNECTIONS, gate=events.gate
    )
    await events.finished()

    assert len(outcomes) == CALLS
    assert [each for each in outcomes if each.status != 200] == []
    assert sorted(each.answer["number"] for each in outcomes) == list(range(CALLS))
    for each in outcomes:
        assert each.answer["version"] in events.versions_live(each)


class _Events:
    """What happens to the platform, by the number of the call that is about to be made."""

    def __init__(self, plat: Platform) -> None:
        self._plat = plat
        self._tasks: list[asyncio.Task[None]] = []
        self._deployed = asyncio.Event()
        self._back = asyncio.Event()
        self._at_zero = asyncio.Event()
        self._deploy_began = self._deploy_ended = float("inf")

    async def gate(self, number: int) -> None:
        match number:
            case 2000:
                self._begin(self._redeploy())
            case 5000:
                await self._deployed.wait()  # what is killed within a deploy is another test's subject
                self._begin(self._kill())
            case 8000:
                self._begin(self._scale_to_zero())
        if number >= 8000:
            await self._at_zero.wait()

    async def finished(self) -> None:
        assert len(self._tasks) == 3
        await asyncio.gather(*self._tasks)

    def versions_live(self, outcome: Outcome) -> set[str]:
        """The versions that were live at some time while the call was under way."""
        live = set()
        if outcome.began <= self._deploy_ended:
            live.add("1")
        if outcome.ended >= self._deploy_began:
            live.add("2")
        return live

    def _begin(self, what: "asyncio._CoroutineLike[None]") -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(what))

    async def _redeploy(self) -> None:
        self._deploy_began = time.monotonic()
        try:
            deployed = await asyncio.to_thread(self._plat.deploy, "steady", CODE % "second", SCALE)
        finally:
            self._deploy_ended = time.monotonic()
            self._deployed.set()
        assert deployed["version"] == 2

    async def _kill(self) -> None:
        try:
            await asyncio.to_thread(self._plat.kill, "core")
        finally:
            self._back.set()  # a failure shows in `finished`

    async def _scale_to_zero(self) -> None:
        """Clients hold back until the last instance is gone; then all come at once."""
        try:
            await self._back.wait()
            await asyncio.to_thread(self._plat.wait_for, lambda: self._plat.run("list").code == 0)
            await asyncio.to_thread(self._plat.wait_for, lambda: not self._plat.instances("steady"))
        finally:
            self._at_zero.set()
