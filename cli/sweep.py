"""Ends the instances that a core which was killed could not end itself."""

import asyncio
from importlib.metadata import entry_points

from plat.artifacts import remove_tree
from plat.errors import PlatError
from plat.logs import get_logger
from plat.settings import Settings
from pool.drivers.base import Driver, Listener
from pool.drivers.leftovers import stop_leftovers

log = get_logger(__name__)

GROUP = "plat.drivers"

_DEAF = Listener(
    exited=lambda _: None, changed=lambda: None, wrote=lambda _: None, last_written=lambda _: None
)


async def sweep(settings: Settings) -> None:
    """Stop every instance of this platform at once, whichever driver started it.

    When every driver has answered, nothing runs any more, and what instances left on the disk goes too.
    """
    entries = [entry for entry in entry_points(group=GROUP) if settings.driver in ("auto", entry.name)]
    answered = [await _sweep_one(entry.name, entry.load()(settings)) for entry in entries]
    if all(answered):
        await asyncio.to_thread(remove_tree, settings.run_dir / "instances")


async def _sweep_one(name: str, driver: Driver) -> bool:
    """Whether the driver answered: then nothing of it is left."""
    try:
        await driver.open(_DEAF)
    except PlatError as error:
        log.info("driver has nothing to sweep", driver=name, detail=error.detail)
        return False
    try:
        await stop_leftovers(driver, grace_s=0)
        return True
    except PlatError as error:
        log.error("instances may be left", driver=name, detail=error.detail)
        return False
    finally:
        await driver.close()
