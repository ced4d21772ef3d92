"""Looks now and then how busy the processors are, and who keeps them so, for `processors` to judge."""

import asyncio
import time

from plat.errors import PlatError
from plat.logs import get_logger
from pool.drivers import procfs
from pool.drivers.base import Driver
from pool.scaler import Scaler

log = get_logger(__name__)

LOOK_S = 0.1
AGAIN_S = 10.0
"""After a look that failed: nobody is held back meanwhile, as what was seen is forgotten in a second."""

ASKED = 8
"""Instances of a version that stand for all of them: a Docker engine takes a millisecond for each."""

ASK_S = 0.5
"""For all that are asked at a look. An engine that takes longer tells of a time that is over."""


class ProcessorWatch:
    """Instances are asked only while all processors are busy and calls of their version wait."""

    def __init__(self, driver: Driver, scaler: Scaler) -> None:
        self._driver = driver
        self._scaler = scaler

    async def run(self) -> None:
        """For ever: a look that fails is logged, and what it would have seen is not known."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except TimeoutError:
                log.debug("instances do not say in time what they use")
            except Exception as error:
                log.error("looking at the processors failed", again_s=AGAIN_S, exc_info=error)
                await asyncio.sleep(AGAIN_S)

    async def look(self) -> None:
        processors = self._scaler.processors
        processors.machine(procfs.busy_s(), time.monotonic())
        crowded = self._scaler.crowded() if processors.are_busy else {}
        processors.keep(crowded, time.monotonic())
        async with asyncio.timeout(ASK_S):
            for version_id, ready in crowded.items():
                used_s = await self._used(ready[:ASKED])
                processors.version(version_id, used_s, len(ready), time.monotonic())

    async def _used(self, instances: list[str]) -> dict[str, float]:
        """Those that do not say it are left out."""
        used_s = {}
        for instance in instances:
            try:
                used_s[instance] = await self._driver.cpu_s(instance)
            except PlatError as error:
                log.debug("an instance does not say what it uses", instance=instance, detail=error.detail)
        return used_s
