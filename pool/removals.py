"""Ends instances in the driver: again and again, until it has done it."""

import asyncio

from plat.logs import get_logger
from plat.tasks import spawn
from pool.drivers.base import Driver

log = get_logger(__name__)

RETRY_S = 1.0


class Removals:
    """Of one fleet. `under_way`: a listing does not take these for new ones."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.under_way: set[str] = set()

    def begin(self, instance: str) -> None:
        """What an instance that is no member any more may have left, in the background."""
        spawn(self.remove(instance, 0), f"clean up {instance}")

    async def remove(self, instance: str, grace_s: float) -> None:
        """Returns when nothing is left of it. `grace_s`: from SIGTERM to SIGKILL."""
        self.under_way.add(instance)
        try:
            while True:
                if await self._removed(instance, grace_s):
                    return
                await asyncio.sleep(RETRY_S)
        finally:
            self.under_way.discard(instance)

    async def _removed(self, instance: str, grace_s: float) -> bool:
        """Whatever it is that fails: an instance that nobody stops any more would stay for ever."""
        try:
            await self._driver.stop(instance, grace_s)
        except Exception as error:
            log.warning("instance cannot be stopped yet", instance=instance, detail=str(error))
            return False
        return True
