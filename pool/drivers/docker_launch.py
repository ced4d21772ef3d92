"""From an order to a container that runs: its folders, its network, and undoing all of it."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from plat.errors import PlatError
from plat.logs import get_logger
from plat.settings import Settings
from plat.tasks import spawn
from pool.drivers import docker_refusals as refusals
from pool.drivers import docker_spec as spec
from pool.drivers.base import Running, StartOrder, WarmOrder
from pool.drivers.docker_engine import Engine, EngineRefusalError, Json
from pool.drivers.docker_folders import Folders
from pool.drivers.docker_instance import DockerInstance
from pool.drivers.docker_network import make_network

log = get_logger(__name__)

SEAL_POLL_S = 0.005
SEAL_EAGER_S = 5.0
SEAL_LAZY_POLL_S = 0.1
"""The runtime begins with the function's code when its folder is sealed, so it is asked often at first."""


class Launcher:
    """`hold` makes a container known to the driver, before it is started."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        place: spec.Place,
        folders: Folders,
        hold: Callable[[Running, str], DockerInstance],
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._place = place
        self._folders = folders
        self._hold = hold
        self._network = asyncio.Lock()

    async def attempt(self, order: StartOrder | WarmOrder) -> DockerInstance | PlatError:
        """An error is returned, not raised: it is the caller's to hear of, not the task log's."""
        image = spec.image_of(self._settings, refusals.kind_of(order).runtime)
        if image is None:
            return refusals.no_image(refusals.kind_of(order).runtime)
        try:
            return await self._launch(order, image)
        except EngineRefusalError as error:
            return refusals.start_refused(error, order, image)
        except PlatError as error:
            return error
        except OSError as error:
            detail = f"Instance {order.instance} has no folder: {error}."
            return PlatError("instance_start_failed", detail)

    async def _launch(self, order: StartOrder | WarmOrder, image: str) -> DockerInstance:
        async with self._network:  # another platform may have removed it with its last instance
            await make_network(self._engine, self._place.network)
        run = self._folders.make_run(order.instance)
        container = await self._engine.create(self._config(order, image, run), spec.name_of(order))
        instance = self._hold(self._running(order), container)
        await self._engine.start(container)
        self.watch(instance)
        return instance

    def _config(self, order: StartOrder | WarmOrder, image: str, run: Path) -> Json:
        if isinstance(order, WarmOrder):
            code = self._folders.make_code(order.instance)
            return spec.warm_container(order, image, self._place, run, code)
        return spec.container(order, image, self._place, run)

    def _running(self, order: StartOrder | WarmOrder) -> Running:
        address = f"unix:{self._folders.socket(order.instance)}"
        now = datetime.now(UTC)
        if isinstance(order, WarmOrder):
            return Running(order.instance, "", "", 0, address, now, kind=order.kind)
        version = order.version
        return Running(order.instance, version.id, version.function, version.number, address, now)

    def watch(self, instance: DockerInstance) -> None:
        """A container that runs: read its log, and take its run folder from it."""
        instance.follow()
        name = instance.running.instance
        instance.sealing = spawn(self._seal(name), f"run folder of instance {name}")

    async def _seal(self, instance: str) -> None:
        """As soon as its socket is there; an instance that ends before has nothing to seal."""
        eager_until = time.monotonic() + SEAL_EAGER_S
        try:
            while not self._folders.seal(instance):  # noqa: ASYNC110 - another process makes the socket
                await asyncio.sleep(SEAL_POLL_S if time.monotonic() < eager_until else SEAL_LAZY_POLL_S)
        except OSError as error:
            log.warning("an instance's run folder stays open to it", instance=instance, error=str(error))

    async def undo(self, order: StartOrder | WarmOrder, instance: DockerInstance | None) -> None:
        """Leave nothing of an attempt that failed or was given up."""
        if instance is not None:
            instance.stopping = instance.ended = True
            instance.launched.set()
            await instance.close()
        try:
            await self._engine.remove(spec.name_of(order))
        except (PlatError, EngineRefusalError) as error:
            log.warning("a failed start is cleared away later", instance=order.instance, error=str(error))
        await asyncio.to_thread(self._folders.remove, order.instance)
