"""Ends what a driver still runs when nobody is left who knows of it."""

import asyncio

from plat.errors import PlatError
from plat.logs import get_logger
from pool.drivers.base import Driver, Running

log = get_logger(__name__)


async def stop_leftovers(driver: Driver, grace_s: float) -> None:
    """Every instance of this platform. Raises the last PlatError, after all were tried."""
    ours = [running for running in await driver.list() if running.managed]
    errors = await asyncio.gather(*(_stop(driver, running, grace_s) for running in ours))
    if failed := [error for error in errors if error is not None]:
        raise failed[-1]


async def _stop(driver: Driver, running: Running, grace_s: float) -> PlatError | None:
    try:
        await driver.stop(running.instance, grace_s)
    except PlatError as error:
        return error
    log.info("instance stopped", instance=running.instance, function=running.function)
    return None
