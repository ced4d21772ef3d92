"""Ends what a driver still runs when nobody is left who knows of it."""

from plat.logs import get_logger
from pool.drivers.base import Driver

log = get_logger(__name__)


async def stop_leftovers(driver: Driver) -> None:
    """Every instance of this platform, at once. Raises PlatError `engine_unavailable`."""
    for running in await driver.list():
        if running.managed:
            await driver.stop(running.instance, 0)
            log.info("instance stopped", instance=running.instance, function=running.function)
