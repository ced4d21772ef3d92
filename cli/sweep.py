"""Ends the instances that a core which was killed could not end itself."""

from importlib.metadata import entry_points

from plat.errors import PlatError
from plat.logs import get_logger
from plat.settings import Settings
from pool.drivers.base import Driver, Listener

log = get_logger(__name__)

GROUP = "plat.drivers"

_DEAF = Listener(
    exited=lambda _: None, changed=lambda: None, wrote=lambda _: None, last_written=lambda _: None
)


async def sweep(settings: Settings) -> None:
    """Stop every instance of this platform at once, whichever driver started it."""
    for entry in entry_points(group=GROUP):
        if settings.driver not in ("auto", entry.name):
            continue
        driver: Driver = entry.load()(settings)
        try:
            await driver.open(_DEAF)
        except PlatError as error:
            log.info("driver has nothing to sweep", driver=entry.name, detail=error.detail)
            continue
        try:
            await _stop_all(driver)
        except PlatError as error:
            log.error("instances may be left", driver=entry.name, detail=error.detail)
        finally:
            await driver.close()


async def _stop_all(driver: Driver) -> None:
    for running in await driver.list():
        if running.managed:
            await driver.stop(running.instance, 0)
            log.info("instance stopped", instance=running.instance, function=running.function)
