"""The driver that runs instances as Docker containers: limited, isolated, found again by their labels."""

import asyncio
import math
import os
from datetime import UTC, datetime
from pathlib import Path

from plat.artifacts import remove_tree
from plat.errors import PlatError
from plat.logs import get_logger
from plat.settings import Settings
from plat.tasks import cancel, spawn
from pool.drivers import docker_spec as spec
from pool.drivers import exits, folder
from pool.drivers.base import Exited, Listener, Running, StartOrder
from pool.drivers.docker_engine import Engine, EngineRefusalError, Json
from pool.drivers.docker_events import Event, EventWatch
from pool.drivers.docker_instance import DockerInstance
from pool.drivers.docker_logs import ContainerLog
from pool.drivers.docker_network import make_network
from pool.drivers.exits import Cause

log = get_logger(__name__)

list_ = list  # inside the class, the name is the driver's method

KILLED = 137
OOM_EVENT_S = 0.5
"""The engine tells of a death and of its lack of memory in either order; they are milliseconds apart."""


class DockerDriver:
    """See `pool.drivers.base.Driver`. `url`: the engine's, else `DOCKER_HOST`, else its usual socket."""

    name = "docker"

    def __init__(self, settings: Settings, url: str | None = None) -> None:
        self._settings = settings
        self._url = url
        self._folder = settings.run_dir / "instances"
        self._instances: dict[str, DockerInstance] = {}
        self._starting: set[str] = set()
        self._finishing: set[asyncio.Task[None]] = set()
        self._listing = asyncio.Lock()
        self._network = asyncio.Lock()
        self._network_is_there = False

    async def open(self, listener: Listener) -> None:
        self._listener = listener
        self._engine = Engine(self._url)
        try:
            info = await self._engine.info()
        except EngineRefusalError as error:
            await self._engine.close()
            raise PlatError(
                "engine_unavailable", f"The Docker engine refuses to talk: {error.message}."
            ) from error
        except BaseException:
            await self._engine.close()
            raise
        self._place = spec.Place.of(self._settings, int(info["NCPU"]))
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        watch = EventWatch(self._engine, spec.FUNCTION, self._connected, self._seen)
        self._watcher = spawn(watch.run(), "Docker events")

    async def close(self) -> None:
        await cancel(self._watcher, *self._finishing)
        await asyncio.gather(*(instance.close() for instance in self._instances.values()))
        self._instances.clear()
        await self._engine.close()

    async def start(self, order: StartOrder) -> Running:
        """Cancelled, it first waits for what it asked the engine for, so as to undo it."""
        self._starting.add(order.instance)
        launch = spawn(self._attempt(order), f"start of instance {order.instance}")
        try:
            launched = await asyncio.shield(launch)
            if isinstance(launched, PlatError):
                raise launched
        except BaseException:
            await asyncio.wait([launch])
            await self._undo(order)
            raise
        finally:
            self._starting.discard(order.instance)
        launched.launched.set()
        return launched.running

    async def stop(self, instance: str, grace_s: float) -> None:
        """Cancelled, the instance may go on; stop it again. Any number may stop it at once."""
        if instance not in self._instances:
            await self.list()
        found = self._instances.get(instance)
        if found is None:
            return
        found.stopping = True
        try:
            await self._engine.stop(found.container, math.ceil(grace_s))
            await self._finish(found)
        except EngineRefusalError as error:
            detail = f"The Docker engine refused to stop instance {instance}: {error.message}."
            raise PlatError("engine_unavailable", detail) from error

    async def list(self) -> list[Running]:
        """Also watches what it finds, and clears away what is left of instances that are gone."""
        try:
            async with self._listing:
                return await self._list()
        except EngineRefusalError as error:
            detail = f"The Docker engine cannot list its containers: {error.message}."
            raise PlatError("engine_unavailable", detail) from error

    async def _list(self) -> "list_[Running]":
        folders = await asyncio.to_thread(lambda: list(self._folder.iterdir()))
        known = set(self._instances) - self._starting
        ours = await self._engine.list(f"{spec.OWNER}={self._place.owner}", everything=True)
        labelled = await self._engine.list(spec.FUNCTION, everything=False)
        found = {each["Labels"][spec.INSTANCE]: each for each in ours if spec.INSTANCE in each["Labels"]}
        for name, summary in found.items():
            if name not in self._starting:
                await self._take(name, summary)
        for name in known - found.keys():
            self._finish_later(name)
        # The folders were listed first: one made since then belongs to a start under way.
        keep = found.keys() | self._starting | self._instances.keys()
        await asyncio.to_thread(_clear, [path for path in folders if path.name not in keep])
        foreign = [
            spec.foreign(each) for each in labelled if spec.is_foreign(each["Labels"], self._place.owner)
        ]
        running = [spec.ours(each, self._folder) for each in found.values() if each["State"] in spec.RUNS]
        return [*running, *(each for each in foreign if each is not None)]

    async def _take(self, name: str, summary: Json) -> None:
        """Watch a container that runs; clear away one that does not, and tell of it if we watched it."""
        if summary["State"] == "created":  # by a pool that was killed before it could start it
            await self._engine.remove(summary["Id"])
        elif summary["State"] in spec.RUNS and name not in self._instances:
            instance = self._hold(spec.ours(summary, self._folder), summary["Id"])
            instance.launched.set()
            instance.follow()
        elif summary["State"] in spec.STOPPED:
            if name not in self._instances:
                instance = self._hold(spec.ours(summary, self._folder), summary["Id"])
                instance.launched.set()
                instance.stopping = True
            self._finish_later(name)

    def _hold(self, running: Running, container: str) -> DockerInstance:
        container_log = ContainerLog(
            self._engine,
            container,
            running,
            since=self._listener.last_written(running.instance),
            wrote=self._listener.wrote,
        )
        instance = DockerInstance(running, container, container_log)
        self._instances[running.instance] = instance
        return instance

    async def _attempt(self, order: StartOrder) -> DockerInstance | PlatError:
        """An error is returned, not raised: it is the caller's to hear of, not the task log's."""
        try:
            return await self._launch(order)
        except EngineRefusalError as error:
            self._network_is_there = False  # perhaps that is what it lacked: look again next time
            return _start_error(error, order, spec.image_of(self._settings, order.version.spec.runtime))
        except PlatError as error:
            return error
        except OSError as error:
            return PlatError(
                "instance_start_failed", f"Instance {order.instance} has no run folder: {error}."
            )

    async def _launch(self, order: StartOrder) -> DockerInstance:
        image = spec.image_of(self._settings, order.version.spec.runtime)
        if image is None:
            detail = f'The runtime "{order.version.spec.runtime}" has no image; python and node have.'
            raise PlatError("instance_start_failed", detail)
        await self._make_network()
        run = self._make_run_folder(order.instance)
        config = spec.container(order, image, self._place, run)
        container = await self._engine.create(config, spec.container_name(order))
        address = f"unix:{run / spec.SOCKET}"
        version = order.version
        running = Running(
            order.instance, version.id, version.function, version.number, address, datetime.now(UTC)
        )
        instance = self._hold(running, container)
        await self._engine.start(container)
        instance.follow()
        return instance

    def _make_run_folder(self, instance: str) -> Path:
        path = self._folder / instance
        path.mkdir(mode=0o700)
        if os.getuid() != self._place.user:
            os.chown(path, self._place.user, self._place.user)
        return path

    async def _make_network(self) -> None:
        async with self._network:
            if not self._network_is_there:
                await make_network(self._engine, self._place.network)
                self._network_is_there = True

    async def _undo(self, order: StartOrder) -> None:
        instance = self._instances.pop(order.instance, None)
        if instance is not None:
            instance.stopping = instance.ended = True
            instance.launched.set()
            await instance.close()
        try:
            await self._engine.remove(spec.container_name(order))
        except (PlatError, EngineRefusalError) as error:
            log.warning("a failed start is cleared away later", instance=order.instance, error=str(error))
        await asyncio.to_thread(remove_tree, self._folder / order.instance)

    async def _connected(self) -> None:
        await self.list()
        self._listener.changed()

    def _seen(self, event: Event) -> None:
        if spec.is_ours(event.attributes, self._place.owner):
            self._seen_ours(event, event.attributes[spec.INSTANCE])
        elif spec.is_foreign(event.attributes, self._place.owner) and event.action != "oom":
            self._listener.changed()

    def _seen_ours(self, event: Event, name: str) -> None:
        match event.action:
            case "oom" if name in self._instances:
                self._instances[name].out_of_memory.set()
            case "die" | "destroy":
                self._finish_later(name)
            case "start" if name not in self._instances and name not in self._starting:
                self._listener.changed()

    def _finish_later(self, name: str) -> None:
        instance = self._instances.get(name)
        if instance is not None:
            task = spawn(self._try_to_finish(instance), f"end of instance {name}")
            self._finishing.add(task)
            task.add_done_callback(self._finishing.discard)

    async def _try_to_finish(self, instance: DockerInstance) -> None:
        """What fails here is done again by the listing after the gap."""
        await instance.launched.wait()
        try:
            await self._finish(instance)
        except (PlatError, EngineRefusalError) as error:
            log.warning("clearing away is put off", instance=instance.running.instance, error=str(error))

    async def _finish(self, instance: DockerInstance) -> None:
        """Read why and the last lines, remove the container, tell of it. Once, however many call it."""
        async with instance.finishing:
            if instance.ended:
                return
            cause = exits.UNKNOWN if instance.stopping else await self._cause(instance)
            if cause is None:
                return
            await instance.read_last_lines()
            await self._engine.remove(instance.container)
            await asyncio.to_thread(remove_tree, self._folder / instance.running.instance)
            del self._instances[instance.running.instance]
            instance.ended = True
        if not instance.stopping:
            self._listener.exited(Exited(instance.running.instance, cause.reason, cause.detail))

    async def _cause(self, instance: DockerInstance) -> Cause | None:
        """None: it runs."""
        state = await self._engine.inspect(instance.container)
        if state is not None and _looks_killed(state) and not instance.out_of_memory.is_set():
            try:
                async with asyncio.timeout(OOM_EVENT_S):
                    await instance.out_of_memory.wait()
            except TimeoutError:
                state = await self._engine.inspect(instance.container)
        if state is None:
            return exits.REMOVED
        return _cause_in(state, instance.out_of_memory.is_set())


def _clear(paths: "list_[Path]") -> None:
    for path in paths:
        if not (path / folder.RECORD).exists():  # with one it is the process driver's
            remove_tree(path)


def _looks_killed(state: Json) -> bool:
    return bool(state["State"]["ExitCode"] == KILLED and not state["State"]["OOMKilled"])


def _cause_in(state: Json, out_of_memory: bool) -> Cause | None:
    """From `GET /containers/<id>/json`."""
    if state["State"]["Running"]:
        return None
    limit_mb = state["HostConfig"]["Memory"] // (1024 * 1024)
    out_of_memory = out_of_memory or state["State"]["OOMKilled"]
    return exits.from_container(state["State"]["ExitCode"], out_of_memory=out_of_memory, limit_mb=limit_mb)


def _start_error(error: EngineRefusalError, order: StartOrder, image: str | None) -> PlatError:
    version = order.version
    if error.status == 404 and "no such image" in error.message.lower():
        detail = f'The image "{image}" is missing. Build it: deploy/build-images {version.spec.runtime}'
        return PlatError("instance_start_failed", detail)
    if "no space left on device" in error.message.lower():
        return PlatError("disk_full", f"{error.message}. Free some space and try again.")
    return PlatError(
        "instance_start_failed",
        f"The Docker engine cannot start {version.function} version {version.number}: {error.message}.",
    )
