"""Calls in numbers, from keep-alive connections, each outcome noted."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp


class Outcome(NamedTuple):
    began: float
    ended: float
    status: int
    answer: Any


Gate = Callable[[int], Awaitable[None]]


async def call_many(
    url: str, *, calls: int, connections: int, gate: Gate, survive_cuts: bool = False
) -> list[Outcome]:
    """`gate(number)` is awaited before each call: it may hold it back.

    `survive_cuts`: a connection that is cut is an outcome (status 0); else it raises.
    """
    outcomes: list[Outcome] = []
    numbers = iter(range(calls))
    connector = aiohttp.TCPConnector(limit=connections)
    timeout = aiohttp.ClientTimeout(total=60)

    async def client(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            await gate(number)
            began = time.monotonic()
            try:
                async with session.post(url, json={"number": number}) as response:
                    status, answer = response.status, await response.json()
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
                if not survive_cuts:
                    raise
                status, answer = 0, None
            outcomes.append(Outcome(began, time.monotonic(), status, answer))

    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(connections):
            group.create_task(client(session))
    return outcomes
