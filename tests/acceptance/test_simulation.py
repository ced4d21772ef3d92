"""`plat simulate` predicts how many instances there are: the same load on a platform and in the simulator."""

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from tests.acceptance.platform import Platform, platform

CODE = """
import time

def handler(event, context):
    began = time.monotonic()
    time.sleep(0.1)
    return {"seconds": time.monotonic() - began}
"""

IDLE_S = 2
SCALE = f"[scale]\nconcurrency = 1\nmax = 12\nidle_s = {IDLE_S}\n"

STEP_S = 5.0
RATES = (5, 45, 15)
"""Calls a second: 1, 5 and 2 instances are busy."""

SAMPLE_S = 0.1
SETTLED_S = 1.5
"""The end of a step, in which the counts are compared by their medians."""


class Called(NamedTuple):
    at: float
    seconds: float


async def test_the_simulator_predicts_the_instances(folder: Path) -> None:
    with platform(folder, "process") as plat:
        plat.deploy("sleeper", CODE, SCALE)
        await asyncio.to_thread(plat.wait_for, lambda: not plat.instances("sleeper"))
        headers = {"Authorization": f"Bearer {plat.token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            cold_s = await cold_start(session, plat)
            await asyncio.to_thread(plat.wait_for, lambda: not plat.instances("sleeper"))
            began, called, live = await load(session, plat)
        predicted = simulate(plat, [Called(each.at - began, each.seconds) for each in called], cold_s)
        for number, rate in enumerate(RATES):
            end = (number + 1) * STEP_S
            seen = median_at(end, [(at - began, count) for at, count in live])
            expected = median_at(end, predicted)
            assert abs(seen - expected) <= 1, f"{rate} calls a second: {expected} predicted, {seen} seen"


async def cold_start(session: aiohttp.ClientSession, plat: Platform) -> float:
    """What a call waits that finds no instance."""
    began = time.monotonic()
    called = await call(session, plat)
    return max(0.0, time.monotonic() - began - called.seconds)


async def load(
    session: aiohttp.ClientSession, plat: Platform
) -> tuple[float, list[Called], list[tuple[float, int]]]:
    """Each step at its rate, open loop: when it began, its calls, and the instances meanwhile."""
    calls: list[asyncio.Task[Called]] = []
    live: list[tuple[float, int]] = []
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(watch_instances(session, plat, live))
        for number, rate in enumerate(RATES):
            for place in range(int(rate * STEP_S)):
                await asyncio.sleep(began + number * STEP_S + place / rate - time.monotonic())
                calls.append(group.create_task(call(session, plat)))
        await asyncio.sleep(began + len(RATES) * STEP_S - time.monotonic())
        watch.cancel()
    return began, [each.result() for each in calls], live


async def call(session: aiohttp.ClientSession, plat: Platform) -> Called:
    at = time.monotonic()
    async with session.post(f"{plat.url}/function/sleeper", json={}) as response:
        assert response.status == 200, await response.text()
        return Called(at, (await response.json())["seconds"])


async def watch_instances(
    session: aiohttp.ClientSession, plat: Platform, live: list[tuple[float, int]]
) -> None:
    while True:
        at = time.monotonic()
        async with session.get(f"{plat.url}/v1/functions/sleeper/instances") as response:
            items: list[Any] = (await response.json())["items"]
        live.append((at, sum(each["state"] not in ("draining", "gone", "failed") for each in items)))
        await asyncio.sleep(SAMPLE_S)


def simulate(plat: Platform, calls: list[Called], cold_s: float) -> list[tuple[float, int]]:
    """The instances over time that `plat simulate` makes of the calls."""
    trace, policy = plat.folder / "trace.csv", plat.folder / "policy.toml"
    rows = [f"sleeper,{each.at:.4f},{each.seconds:.4f}" for each in calls]
    trace.write_text("\n".join(["function,arrival_s,duration_s", *rows]))
    policy.write_text(f"max = 12\nidle_s = {IDLE_S}\ncold_s = {cold_s:.4f}\n")
    report = plat.plat_json("simulate", "--trace", str(trace), "--policy", str(policy), "--step", "0.1")
    assert report["calls"] == len(calls)
    states = ("starting", "busy", "idle", "paused")
    return [(each["at_s"], sum(each[state] for state in states)) for each in report["timeline"]]


def median_at(end: float, counts: list[tuple[float, int]]) -> float:
    return statistics.median(count for at, count in counts if end - SETTLED_S <= at < end)
