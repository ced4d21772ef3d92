"""Which driver a platform has: the one that its settings name, or the better one of those that work here."""

import asyncio
from contextlib import aclosing
from importlib.metadata import entry_points
from pathlib import Path

from plat.errors import PlatError
from plat.logs import get_logger
from plat.settings import Settings
from pool.drivers import procfs
from pool.drivers.base import Driver
from pool.drivers.docker_engine import Engine, EngineRefusalError
from pool.drivers.folder import folders

log = get_logger(__name__)

ENGINE_ANSWER_S = 2.0


def make_driver(settings: Settings, name: str) -> Driver:
    """The driver of that name, from the entry points `plat.drivers`: ours are found like anybody's."""
    found = entry_points(group="plat.drivers", name=name)
    if not found:
        known = ", ".join(sorted(each.name for each in entry_points(group="plat.drivers")))
        raise PlatError("invalid", f'There is no driver "{name}"; installed are: {known}.')
    driver: Driver = next(iter(found)).load()(settings)
    return driver


async def choose_driver(settings: Settings) -> str:
    """`auto`: Docker where an engine answers and has our images, else processes.

    A pool that is started again while processes of the one before it run goes on with them: an engine that
    was started meanwhile would not know of them, and nobody would ever end them.
    """
    if settings.driver != "auto":
        return settings.driver
    if _processes_run(settings.run_dir / "instances"):
        log.info("functions run as processes: there are some of a pool before this one")
        return "process"
    try:
        async with asyncio.timeout(ENGINE_ANSWER_S), aclosing(Engine()) as engine:
            await engine.require_image(settings.docker_python_image)
    except (PlatError, EngineRefusalError, ValueError, TimeoutError) as error:
        log.info(
            "functions run as processes: no Docker engine with our images (deploy/build-images)",
            detail=str(error),
        )
        return "process"
    return "docker"


def _processes_run(root: Path) -> bool:
    records = [folder.read() for folder in folders(root)] if root.exists() else []
    return any(
        each is not None and each.pid is not None and procfs.is_alive(each.pid, each.started)
        for each in records
    )
