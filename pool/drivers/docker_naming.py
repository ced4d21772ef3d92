"""Whose a container has become, noted where the engine keeps it and no container can forge it: its name."""

import asyncio
import random

from plat.errors import PlatError
from plat.logs import get_logger
from pool.drivers.docker_engine import Engine, EngineRefusalError
from pool.drivers.docker_events import backoff_s
from pool.drivers.docker_instance import DockerInstance

log = get_logger(__name__)

DELAY_S = 0.05
"""The engine works for milliseconds on a new name: on a small machine, the first call would feel that."""

GONE = 404


async def note_name(engine: Engine, instance: DockerInstance, name: str) -> None:
    """Until the engine has done it, or the instance is gone."""
    await asyncio.sleep(DELAY_S)
    failures = 0
    while not instance.ended:
        try:
            await engine.rename(instance.container, name)
            return
        except EngineRefusalError as error:
            if error.status == GONE:
                return
            log.warning("an instance cannot be renamed", name=name, error=error.message)
        except PlatError as error:
            log.debug("an instance cannot be renamed yet", name=name, error=error.detail)
        await asyncio.sleep(backoff_s(failures, random.random()))  # noqa: S311
        failures += 1
