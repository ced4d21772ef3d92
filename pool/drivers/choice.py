"""Which driver a platform has: the one that its settings name, or the better one of those that work here."""

import asyncio
import errno
import socket
from contextlib import aclosing
from importlib.metadata import entry_points

from plat.errors import PlatError
from plat.logs import get_logger
from plat.settings import Settings
from pool.drivers import procfs
from pool.drivers.base import Driver
from pool.drivers.docker_engine import Engine, EngineRefusalError
from pool.drivers.folder import Folder, folders

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

    A pool that is started again goes on with the instances that run, though their engine is away or one was
    started meanwhile: the other driver would not know of them, and nobody would ever end them.
    """
    if settings.driver != "auto":
        return settings.driver
    root = settings.run_dir / "instances"
    instances = folders(root) if root.exists() else []
    if any(map(_is_process, instances)):
        log.info("functions run as processes: some are there already")
        return "process"
    try:
        async with asyncio.timeout(ENGINE_ANSWER_S), aclosing(Engine()) as engine:
            await engine.require_image(settings.docker_python_image)
    except (PlatError, EngineRefusalError, ValueError, TimeoutError) as error:
        if any(map(_is_container, instances)):
            log.warning("functions run in containers: some are there already", detail=str(error))
            return "docker"
        log.info(
            "functions run as processes: no Docker engine with our images (deploy/build-images)",
            detail=str(error),
        )
        return "process"
    return "docker"


def _is_process(folder: Folder) -> bool:
    record = folder.read()
    return record is not None and record.pid is not None and procfs.is_alive(record.pid, record.started)


def _is_container(folder: Folder) -> bool:
    """Its folder has no record, and somebody listens in it, paused or not."""
    if folder.read() is not None:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            return probe.connect_ex(str(folder.socket)) in (0, errno.EAGAIN)
        except OSError:  # a name too long for a socket's path is none of ours
            return False
