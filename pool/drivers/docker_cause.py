"""Why a container ended, from what the engine says of it and has told before."""

import asyncio

from pool.drivers import exits
from pool.drivers.docker_engine import Engine, Json
from pool.drivers.exits import Cause

KILLED = 137
OOM_EVENT_S = 0.5
"""The engine tells of a death and of its lack of memory in either order; they are milliseconds apart."""


async def cause_of(engine: Engine, container: str, out_of_memory: asyncio.Event) -> Cause | None:
    """None: it runs. `out_of_memory` is set when the engine tells of that. Raises what the engine does."""
    state = await engine.inspect(container)
    if state is not None and looks_killed(state) and not out_of_memory.is_set():
        try:
            async with asyncio.timeout(OOM_EVENT_S):
                await out_of_memory.wait()
        except TimeoutError:
            state = await engine.inspect(container)
    if state is None:
        return exits.REMOVED
    return cause_in(state, out_of_memory.is_set())


def looks_killed(state: Json) -> bool:
    return bool(state["State"]["ExitCode"] == KILLED and not state["State"]["OOMKilled"])


def cause_in(state: Json, out_of_memory: bool) -> Cause | None:
    """From `GET /containers/<id>/json`."""
    if state["State"]["Running"]:
        return None
    limit_mb = state["HostConfig"]["Memory"] // (1024 * 1024)
    out_of_memory = out_of_memory or state["State"]["OOMKilled"]
    return exits.from_container(state["State"]["ExitCode"], out_of_memory=out_of_memory, limit_mb=limit_mb)
