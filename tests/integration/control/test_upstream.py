"""Instances and logs, which the pool has: handed on as they come, and its absence told."""

import asyncio

import aiohttp
import msgspec
import pytest

from plat.errors import PlatError
from plat.model import DecisionList, LogLine
from plat.tasks import cancel, spawn
from tests.integration.control.fake_pool import log_line
from tests.integration.control.platform import Platform, until


async def test_instances_come_from_the_pool(platform: Platform) -> None:
    await platform.call.create("hello")
    answer = await platform.call("GET", "/v1/functions/hello/instances")
    assert answer.status == 200
    assert [each["function"] for each in answer.json["items"]] == ["hello"]


async def test_decisions_come_from_the_pool(platform: Platform) -> None:
    await platform.call.create("hello")
    answer = await platform.call("GET", "/v1/functions/hello/decisions")
    assert answer.status == 200
    [decision] = msgspec.json.decode(answer.body, type=DecisionList).items
    assert (decision.function, decision.start, decision.reason) == ("hello", 1, "1 call waits")
    assert decision.inputs is not None
    assert (decision.inputs.queued, decision.inputs.room) == (1, 3)


async def test_when_to_try_again_is_handed_on(platform: Platform) -> None:
    await platform.call.create("hello")
    platform.pool.problem = PlatError("engine_unavailable", "No Docker.", retry_after_s=7)
    answer = await platform.call.deploy("hello")
    assert (answer.status, answer.json["code"]) == (503, "engine_unavailable")
    assert answer.headers["Retry-After"] == "7"


@pytest.mark.parametrize("path", ["instances", "decisions", "logs", "logs?follow=true"])
async def test_a_pool_that_is_away_is_503(path: str, platform: Platform) -> None:
    await platform.call.create("hello")
    await platform.pool.stop()
    answer = await platform.call("GET", f"/v1/functions/hello/{path}")
    assert (answer.status, answer.json["code"]) == (503, "pool_unavailable")
    assert answer.headers["Retry-After"]


async def test_the_last_lines_of_the_log(platform: Platform) -> None:
    await platform.call.create("hello")
    answer = await platform.call("GET", "/v1/functions/hello/logs?tail=3")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    lines = [msgspec.json.decode(line, type=LogLine) for line in answer.body.splitlines()]
    assert [line.message for line in lines] == ["line 0", "line 1", "line 2"]


async def test_followed_lines_arrive_one_by_one_until_the_client_goes(platform: Platform) -> None:
    await platform.call.create("hello")
    path = "/v1/functions/hello/logs?tail=0&follow=true"
    async with platform.call.session.get(path) as response:
        assert response.status == 200
        await until(lambda: platform.pool.followers == 1)
        for number in range(3):
            platform.pool.lines.put_nowait(log_line("hello", f"now {number}"))
            line = msgspec.json.decode(await response.content.readline(), type=LogLine)
            assert line.message == f"now {number}"
    await until(lambda: platform.pool.followers == 0)


async def test_a_follower_that_leaves_silently_is_noticed(platform: Platform) -> None:
    await platform.call.create("hello")
    request = spawn(platform.call("GET", "/v1/functions/hello/logs?tail=0&follow=true"), "follower")
    await until(lambda: platform.pool.followers == 1)
    await cancel(request)
    await until(lambda: platform.pool.followers == 0)


async def test_a_log_that_breaks_off_does_not_look_whole(platform: Platform) -> None:
    await platform.call.create("hello")
    async with platform.call.session.get("/v1/functions/hello/logs?tail=1&follow=true") as response:
        assert await response.content.readline()
        platform.pool.lines.put_nowait(None)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.readline()


async def test_stopping_ends_followers(platform: Platform) -> None:
    """The fixture's own shutdown has a deadline: a follower that held it up would fail this test."""
    await platform.call.create("hello")
    response = await platform.call.session.get("/v1/functions/hello/logs?tail=0&follow=true")
    await until(lambda: platform.pool.followers == 1)
    asyncio.get_running_loop().call_soon(response.close)
