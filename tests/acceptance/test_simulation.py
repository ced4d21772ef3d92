"""`plat simulate` predicts how many instances there are: the same load on a platform and in the simulator."""

import asyncio
import statistics
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

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
STEPS = 3
Rates = dict[str, tuple[int, ...]]
"""Of each function, in each step, calls a second: of 10, one instance is busy."""

ONE: Rates = {"sleeper": (5, 45, 15)}
THREE: Rates = {"sleeper": (5, 15, 25), "napper": (25, 5, 5), "dozer": (15, 15, 5)}

SAMPLE_S = 0.1
SETTLED_S = 1.5
"""The end of a step, in which the counts are compared by their medians."""


class Called(NamedTuple):
    function: str
    at: float
    seconds: float


@pytest.mark.parametrize("rates", [pytest.param(ONE, id="one"), pytest.param(THREE, id="three")])
async def test_the_simulator_predicts_the_instances(folder: Path, rates: Rates) -> None:
    with platform(folder / str(len(rates)), "process") as plat:
        for function in rates:
            plat.deploy(function, CODE, SCALE)
        await nothing_is_there(plat, rates)
        headers = {"Authorization": f"Bearer {plat.token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            cold_s = await cold_start(session, plat, next(iter(rates)))
            await nothing_is_there(plat, rates)
            began, called, live = await load(session, plat, rates)
        predicted = simulate(plat, [each._replace(at=each.at - began) for each in called], cold_s)
        for number in range(STEPS):
            end = (number + 1) * STEP_S
            seen = median_at(end, [(at - began, count) for at, count in live])
            expected = median_at(end, predicted)
            assert abs(seen - expected) <= 1, f"step {number}: {expected} predicted, {seen} seen"


async def nothing_is_there(plat: Platform, functions: Iterable[str]) -> None:
    await asyncio.to_thread(plat.wait_for, lambda: not any(map(plat.instances, functions)))


async def cold_start(session: aiohttp.ClientSession, plat: Platform, function: str) -> float:
    """What a call waits that finds no instance."""
    began = time.monotonic()
    called = await call(session, plat, function)
    return max(0.0, time.monotonic() - began - called.seconds)


async def load(
    session: aiohttp.ClientSession, plat: Platform, rates: Rates
) -> tuple[float, list[Called], list[tuple[float, int]]]:
    """Each step at its rates, open loop: when it began, its calls, and the instances meanwhile."""
    calls: list[asyncio.Task[Called]] = []
    live: list[tuple[float, int]] = []
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(watch_instances(session, plat, rates, live))
        for at, function in sorted(arrivals(rates)):
            await asyncio.sleep(began + at - time.monotonic())
            calls.append(group.create_task(call(session, plat, function)))
        await asyncio.sleep(began + STEPS * STEP_S - time.monotonic())
        watch.cancel()
    return began, [each.result() for each in calls], live


def arrivals(rates: Rates) -> Iterator[tuple[float, str]]:
    """When, in seconds, and of which function."""
    for function, steps in rates.items():
        for number, rate in enumerate(steps):
            for place in range(int(rate * STEP_S)):
                yield number * STEP_S + place / rate, function


async def call(session: aiohttp.ClientSession, plat: Platform, function: str) -> Called:
    at = time.monotonic()
    async with session.post(f"{plat.url}/function/{function}", json={}) as response:
        assert response.status == 200, await response.text()
        return Called(function, at, (await response.json())["seconds"])


async def watch_instances(
    session: aiohttp.ClientSession,
    plat: Platform,
    functions: Iterable[str],
    live: list[tuple[float, int]],
) -> None:
    """Of all functions together."""
    while True:
        at, count = time.monotonic(), 0
        for function in functions:
            async with session.get(f"{plat.url}/v1/functions/{function}/instances") as response:
                items: list[Any] = (await response.json())["items"]
            count += sum(each["state"] not in ("draining", "gone", "failed") for each in items)
        live.append((at, count))
        await asyncio.sleep(SAMPLE_S)


def simulate(plat: Platform, calls: list[Called], cold_s: float) -> list[tuple[float, int]]:
    """The instances over time that `plat simulate` makes of the calls."""
    trace, policy = plat.folder / "trace.csv", plat.folder / "policy.toml"
    rows = [f"{each.function},{each.at:.4f},{each.seconds:.4f}" for each in calls]
    trace.write_text("\n".join(["function,arrival_s,duration_s", *rows]))
    policy.write_text(f"max = 12\nidle_s = {IDLE_S}\ncold_s = {cold_s:.4f}\n")
    report = plat.plat_json("simulate", "--trace", str(trace), "--policy", str(policy), "--step", "0.1")
    assert report["calls"] == len(calls)
    states = ("starting", "busy", "idle", "paused")
    return [(each["at_s"], sum(each[state] for state in states)) for each in report["timeline"]]


def median_at(end: float, counts: list[tuple[float, int]]) -> float:
    return statistics.median(count for at, count in counts if end - SETTLED_S <= at < end)
