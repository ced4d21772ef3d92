"""The driver that runs instances as Docker containers: limited, isolated, found again by their labels."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from plat.errors import PlatError
from plat.logs import get_logger
from plat.settings import Settings
from plat.tasks import cancel, spawn
from pool.drivers import docker_refusals as refusals
from pool.drivers import docker_spec as spec
from pool.drivers import exits
from pool.drivers.base import Exited, Kind, Listener, Placed, Running, StartOrder, WarmOrder
from pool.drivers.docker_cause import cause_of
from pool.drivers.docker_engine import Engine, EngineRefusalError, Json
from pool.drivers.docker_events import Event, EventWatch
from pool.drivers.docker_folders import Folders
from pool.drivers.docker_instance import DockerInstance
from pool.drivers.docker_launch import Launcher
from pool.drivers.docker_logs import ContainerLog
from pool.drivers.docker_naming import note_name
from pool.drivers.docker_network import remove_network
from pool.drivers.environment import load_order
from pool.drivers.ready_trees import ReadyTrees

log = get_logger(__name__)

list_ = list  # inside the class, the name is the driver's method

FINISH_AGAIN_S = (0.1, 0.5, 2.5)
"""A busy engine refuses to remove a container that it is still renaming or taking down."""

NAMING_S = 1.0
"""How long `close` waits for the engine to note whose an instance has become."""


class DockerDriver:
    """See `pool.drivers.base.Driver`. `url`: the engine's, else `DOCKER_HOST`, else its usual socket."""

    name = "docker"

    def __init__(self, settings: Settings, url: str | None = None) -> None:
        self._settings = settings
        self._url = url
        self._instances: dict[str, DockerInstance] = {}
        self._starting: set[str] = set()
        self._finishing: set[asyncio.Task[None]] = set()
        self._listing = asyncio.Lock()

    async def open(self, listener: Listener) -> None:
        self._listener = listener
        self._trees = ReadyTrees(self._settings.data_dir / "linked")
        await self._trees.open()
        self._engine = Engine(self._url)
        try:
            info = await self._engine.info()
        except EngineRefusalError as error:
            await self._engine.aclose()
            raise PlatError(
                "engine_unavailable", f"The Docker engine refuses to talk: {error.message}."
            ) from error
        except BaseException:
            await self._engine.aclose()
            raise
        self._place = spec.Place.of(self._settings, int(info["NCPU"]))
        self._folders = Folders(self._settings, self._place)
        self._launcher = Launcher(self._settings, self._engine, self._place, self._folders, self._hold)
        watch = EventWatch(self._engine, spec.FUNCTION, self._connected, self._seen)
        self._watcher = spawn(watch.run(), "Docker events")

    async def close(self) -> None:
        namings = [each.naming for each in self._instances.values() if each.naming is not None]
        if namings:
            await asyncio.wait(namings, timeout=NAMING_S)
        await cancel(self._watcher, *self._finishing)
        await asyncio.gather(*(instance.close() for instance in self._instances.values()))
        self._instances.clear()
        await self._trees.close()
        await self._remove_network()
        await self._engine.aclose()

    async def _remove_network(self) -> None:
        try:
            await remove_network(self._engine, self._place.network)
        except (PlatError, EngineRefusalError) as error:
            log.warning("the network is kept", network=self._place.network, detail=str(error))

    # --- start

    async def start(self, order: StartOrder) -> Running:
        """Cancelled, it first waits for what it asked the engine for, so as to undo it."""
        return await self._launch(order)

    async def warm(self, order: WarmOrder) -> Running:
        """Cancelled, as `start`."""
        return await self._launch(order)

    async def _launch(self, order: StartOrder | WarmOrder) -> Running:
        self._starting.add(order.instance)
        launch = spawn(self._launcher.attempt(order), f"start of instance {order.instance}")
        try:
            launched = await asyncio.shield(launch)
            if isinstance(launched, PlatError):
                raise launched
        except BaseException:
            await asyncio.wait([launch])
            await self._launcher.undo(order, self._instances.pop(order.instance, None))
            raise
        finally:
            self._starting.discard(order.instance)
        launched.launched.set()
        return launched.running

    # --- what a warm instance becomes

    async def place(self, order: StartOrder) -> Placed:
        """Cancelled, it first waits for the links, so that whoever stops the instance finds them all."""
        found = await self._known(order.instance)
        if found.running.kind is None:
            raise refusals.no_use(order.instance, "has a function already")
        version = order.version
        assert found.running.kind == Kind.of(version.spec), "a version of another kind"
        found.become(
            msgspec.structs.replace(
                found.running,
                version_id=version.id,
                function=version.function,
                number=version.number,
                kind=None,
            )
        )
        try:
            if not self._folders.seal(order.instance):
                raise refusals.no_use(order.instance, "does not listen yet")
            await self._trees.give(order.code, self._folders.code(order.instance))
        except OSError as error:
            raise refusals.code_refused(error, order) from error
        # The call does not wait for it. Killed before it is done, the pool finds a warm one that is none.
        naming = note_name(self._engine, found, spec.placed_name(order))
        found.naming = spawn(naming, f"name of instance {order.instance}")
        return Placed(found.running, load_order(order, code=spec.CODE))

    # --- pause

    async def pause(self, instance: str) -> None:
        await self._switch(instance, self._engine.pause, paused=True)

    async def resume(self, instance: str) -> None:
        await self._switch(instance, self._engine.unpause, paused=False)

    async def _switch(self, instance: str, switch: Callable[[str], Awaitable[None]], *, paused: bool) -> None:
        """A refusal is none where the container is as it should be."""
        found = await self._known(instance)
        try:
            await switch(found.container)
        except EngineRefusalError as error:
            state = await self._engine.inspect(found.container)
            if state is None or not refusals.is_as_wanted(state, paused=paused):
                word = "paused" if paused else "resumed"
                raise refusals.no_use(instance, f"cannot be {word}: {error.message}") from error

    async def cpu_s(self, instance: str) -> float:
        found = await self._known(instance)
        try:
            return await self._engine.cpu_s(found.container)
        except EngineRefusalError as error:
            raise refusals.refused(error, f"ask what instance {instance} uses") from error

    # --- stop

    async def stop(self, instance: str, grace_s: float) -> None:
        """Cancelled, the instance may go on; stop it again. Any number may stop it at once.

        The engine resumes a paused one, so that it ends in order.
        """
        found = await self._find(instance)
        if found is None:
            return
        found.stopping = True
        found.stops += 1
        try:
            await self._engine.stop(found.container, math.ceil(grace_s))
            await self._finish(found)
        except EngineRefusalError as error:
            raise refusals.refused(error, f"stop instance {instance}") from error
        finally:
            found.stops -= 1

    async def _known(self, instance: str) -> DockerInstance:
        found = await self._find(instance)
        if found is None:
            raise refusals.no_use(instance, "is gone")
        return found

    async def _find(self, instance: str) -> DockerInstance | None:
        if instance not in self._instances:
            await self.list()
        return self._instances.get(instance)

    # --- list

    async def list(self) -> list[Running]:
        """Also watches what it finds, and clears away what is left of instances that are gone."""
        try:
            async with self._listing:
                return await self._list()
        except EngineRefusalError as error:
            raise refusals.refused(error, "list its containers") from error

    async def _list(self) -> "list_[Running]":
        folders = await asyncio.to_thread(self._folders.found)
        known = set(self._instances) - self._starting
        ours = await self._engine.list(f"{spec.OWNER}={self._place.owner}", everything=True)
        labelled = await self._engine.list(spec.FUNCTION, everything=False)
        found = {each["Labels"][spec.INSTANCE]: each for each in ours if spec.INSTANCE in each["Labels"]}
        for name, summary in found.items():
            if name not in self._starting:
                await self._take(name, summary)
        for name in known - found.keys():
            self._finish_later(name)
        await self._trees.forget_removed()
        await self._clear(folders, found.keys() | self._starting | self._instances.keys())
        foreign = [
            spec.foreign(each) for each in labelled if spec.is_foreign(each["Labels"], self._place.owner)
        ]
        running = [self._listed(each) for each in found.values() if each["State"] in spec.RUNS]
        return [*running, *(each for each in foreign if each is not None)]

    async def _clear(self, folders: "list_[Path]", keep: set[str]) -> None:
        """The folders were listed first: one made since then belongs to a start under way."""
        await asyncio.to_thread(self._folders.clear, [path for path in folders if path.name not in keep])

    def _listed(self, summary: Json) -> Running:
        """What a warm one has become is known here before the engine has noted it."""
        running = spec.ours(summary, self._folders.runs)
        held = self._instances.get(running.instance)
        return running if held is None else msgspec.structs.replace(held.running, paused=running.paused)

    async def _take(self, name: str, summary: Json) -> None:
        """Watch a container that runs; clear away one that does not, and tell of it if we watched it."""
        if summary["State"] == "created":
            if name not in self._instances:  # else it was started since it was listed
                await self._engine.remove(summary["Id"])  # a pool was killed before it could start it
        elif summary["State"] in spec.RUNS and name not in self._instances:
            running = spec.ours(summary, self._folders.runs)
            if running.kind is not None and self._folders.has_code(name):
                # A pool was killed that had given it code and not noted whose: nobody else's may come to it.
                running = msgspec.structs.replace(running, kind=spec.NO_KIND)
            instance = self._hold(running, summary["Id"])
            instance.launched.set()
            self._launcher.watch(instance)
        elif summary["State"] in spec.STOPPED:
            if name not in self._instances:
                instance = self._hold(spec.ours(summary, self._folders.runs), summary["Id"])
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

    # --- what the engine tells

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

    # --- the end of an instance

    def _finish_later(self, name: str) -> None:
        instance = self._instances.get(name)
        if instance is not None:
            task = spawn(self._try_to_finish(instance), f"end of instance {name}")
            self._finishing.add(task)
            task.add_done_callback(self._finishing.discard)

    async def _try_to_finish(self, instance: DockerInstance) -> None:
        """What fails to the last is done again by the next listing.

        A container removed while the engine still stops it may leave an endpoint on its network for ever.
        """
        await instance.launched.wait()
        for wait_s in FINISH_AGAIN_S:
            if instance.stops:
                return
            try:
                await self._finish(instance)
            except (PlatError, EngineRefusalError) as error:
                name = instance.running.instance
                log.warning("clearing away is put off", instance=name, error=str(error), again_s=wait_s)
                await asyncio.sleep(wait_s)
            else:
                return

    async def _finish(self, instance: DockerInstance) -> None:
        """Read why and the last lines, remove the container, tell of it. Once, however many call it."""
        async with instance.finishing:
            if instance.ended:
                return
            cause = exits.UNKNOWN
            if not instance.stopping:
                found = await cause_of(self._engine, instance.container, instance.out_of_memory)
                if found is None:
                    return
                cause = found
            await instance.read_last_lines()
            await self._engine.remove(instance.container)
            instance.ended = True
            await instance.close()
            await asyncio.to_thread(self._folders.remove, instance.running.instance)
            del self._instances[instance.running.instance]
        if not instance.stopping:
            self._listener.exited(Exited(instance.running.instance, cause.reason, cause.detail))
