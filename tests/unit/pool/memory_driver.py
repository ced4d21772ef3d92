"""A driver whose instances are entries of a dict: started, ready, ended and stopped when a test says so."""

import asyncio
from datetime import UTC, datetime

from msgspec.structs import replace

from plat.address import Address
from plat.errors import PlatError
from pool.drivers.base import Exited, Listener, LoadOrder, Placed, Running, StartOrder, WarmOrder
from pool.health import Health, Unreachable
from pool.line import Line


class MemoryDriver:
    """See `pool.drivers.base.Driver`. Its `wait_ready`, `probe` and `load` stand for `pool.health`'s."""

    name = "memory"

    def __init__(self) -> None:
        self.running: dict[str, Running] = {}
        self.starts = 0
        self.warmed = 0
        self.loaded: set[str] = set()
        """Warm ones as the machine lists them, that have taken a function all the same."""
        self.never_told: set[str] = set()
        """Of a version as the machine lists them, and warm all the same."""
        self.placed: list[str] = []
        self.hold_warm = False
        """Warm ones become ready by `make_ready` only."""
        self.hold_load = False
        """Warm instances have loaded by `make_ready` only."""
        self.load_error: Exception | None = None
        self.paused: set[str] = set()
        self.pauses = 0
        """Asked for."""
        self.pause_error: PlatError | None = None
        self.resume_error: Exception | None = None
        self.hold_resume = False
        """The engine says that an instance is resumed by `end_resume` only."""
        self._resumes: dict[str, asyncio.Future[None]] = {}
        self.used_s: dict[str, float] = {}
        self.stopped: list[tuple[str, float]] = []
        self.in_flight: dict[str, int] = {}
        self.hold_ready = False
        """Instances become ready by `make_ready` only."""
        self.start_error: Exception | None = None
        self.stop_error: Exception | None = None
        self.probes = 0
        self.probes_answered = asyncio.Event()
        """Cleared: every instance is too busy to answer."""
        self.probes_answered.set()
        self._ready: dict[str, asyncio.Future[None]] = {}
        self._listener: Listener | None = None

    async def open(self, listener: Listener) -> None:
        self._listener = listener

    async def close(self) -> None:
        self._listener = None

    async def start(self, order: StartOrder) -> Running:
        self.starts += 1
        if self.start_error is not None:
            raise self.start_error
        version = order.version
        running = Running(
            order.instance,
            version.id,
            version.function,
            version.number,
            f"unix:/{order.instance}",
            datetime.now(UTC),
        )
        self.running[order.instance] = running
        self._ready[order.instance] = asyncio.get_running_loop().create_future()
        if not self.hold_ready:
            self.make_ready(order.instance)
        return running

    async def warm(self, order: WarmOrder) -> Running:
        self.warmed += 1
        if self.start_error is not None:
            raise self.start_error
        address = f"unix:/{order.instance}"
        running = Running(order.instance, "", "", 0, address, datetime.now(UTC), kind=order.kind)
        self.running[order.instance] = running
        self._ready[order.instance] = asyncio.get_running_loop().create_future()
        if not self.hold_warm:
            self.make_ready(order.instance)
        return running

    async def place(self, order: StartOrder) -> Placed:
        version, spec = order.version, order.version.spec
        warm = self.running.get(order.instance)
        if warm is None or warm.kind is None:
            raise PlatError("instance_unavailable", f"Instance {order.instance} is of no use.")
        running = replace(
            warm,
            version_id=version.id,
            function=version.function,
            number=version.number,
            kind=None,
        )
        self.running[order.instance] = running
        self.placed.append(order.instance)
        self._ready[order.instance] = asyncio.get_running_loop().create_future()
        if not self.hold_load:
            self.make_ready(order.instance)
        load = LoadOrder(
            function=version.function,
            version=version.number,
            handler=spec.handler,
            event=spec.event,
            concurrency=spec.concurrency,
            timeout_s=spec.timeout_s,
            memory_mb=spec.memory_mb,
            code=str(order.code),
            env=spec.env,
        )
        return Placed(running, load)

    async def pause(self, instance: str) -> None:
        self.pauses += 1
        if self.pause_error is not None:
            raise self.pause_error
        self.paused.add(instance)

    async def resume(self, instance: str) -> None:
        if self.resume_error is not None:
            raise self.resume_error
        self.paused.discard(instance)
        if self.hold_resume:
            await self._resumes.setdefault(instance, asyncio.get_running_loop().create_future())

    async def cpu_s(self, instance: str) -> float:
        if instance not in self.running:
            raise PlatError("instance_unavailable", f"Instance {instance} is gone.")
        return self.used_s.get(instance, 0.0)

    async def stop(self, instance: str, grace_s: float) -> None:
        if self.stop_error is not None:
            raise self.stop_error
        self.paused.discard(instance)
        if self.running.pop(instance, None) is not None:
            self.stopped.append((instance, grace_s))

    async def list(self) -> list[Running]:
        return [replace(each, paused=each.instance in self.paused) for each in self.running.values()]

    # --- what a test does

    def make_ready(self, instance: str) -> None:
        self._ready[instance].set_result(None)

    def end_resume(self, error: Exception | None = None) -> None:
        """Of all; with an error the engine says that it has failed."""
        resumes, self._resumes = self._resumes, {}
        for resume in resumes.values():
            if not resume.done():
                resume.set_result(None) if error is None else resume.set_exception(error)

    def unloaded(self) -> tuple[str, ...]:
        """Those that run and are not ready."""
        return tuple(each for each in self.running if each in self._ready and not self._ready[each].done())

    def fail_to_load(self, instance: str, error: Exception) -> None:
        self._ready[instance].set_exception(error)

    def end(self, instance: str, reason: str = "exited", detail: str = "It exited.") -> None:
        """It ends by itself."""
        del self.running[instance]
        self.paused.discard(instance)
        if self._listener is not None:
            self._listener.exited(Exited(instance, reason, detail))

    # --- in the place of `pool.health`

    async def wait_ready(self, address: str, deadline: float) -> Health:
        await self._ready[_instance(address)]
        return Health(rehearses=True)

    async def load(self, address: str, order: LoadOrder, deadline: float, line: Line | None = None) -> None:
        if self.load_error is not None:
            raise self.load_error
        await self._ready[_instance(address)]

    async def probe(self, address: str, timeout_s: float) -> Health | None:
        self.probes += 1
        instance = _instance(address)
        running = self.running.get(instance)
        if running is None:
            raise Unreachable(f"{address}: nobody listens")
        await self.probes_answered.wait()
        if instance in self.paused:
            return None
        is_warm = instance in self.never_told or (running.kind is not None and instance not in self.loaded)
        return Health(in_flight=self.in_flight.get(instance, 0), warm=is_warm)


def _instance(address: str) -> str:
    path = Address.parse(address).path
    assert path is not None
    return path.removeprefix("/")
