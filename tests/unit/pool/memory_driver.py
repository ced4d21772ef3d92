"""A driver whose instances are entries of a dict: started, ready, ended and stopped when a test says so."""

import asyncio
from datetime import UTC, datetime

from plat.address import Address
from plat.errors import PlatError
from pool.drivers.base import Exited, Listener, Running, StartOrder
from pool.health import Health, Unreachable


class MemoryDriver:
    """See `pool.drivers.base.Driver`. Its `wait_ready` and `probe` stand for `pool.health`'s."""

    name = "memory"

    def __init__(self) -> None:
        self.running: dict[str, Running] = {}
        self.starts = 0
        self.stopped: list[tuple[str, float]] = []
        self.in_flight: dict[str, int] = {}
        self.hold_ready = False
        """Instances become ready by `make_ready` only."""
        self.start_error: PlatError | None = None
        self.stop_error: PlatError | None = None
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

    async def stop(self, instance: str, grace_s: float) -> None:
        if self.stop_error is not None:
            raise self.stop_error
        if self.running.pop(instance, None) is not None:
            self.stopped.append((instance, grace_s))

    async def list(self) -> list[Running]:
        return [*self.running.values()]

    # --- what a test does

    def make_ready(self, instance: str) -> None:
        self._ready[instance].set_result(None)

    def fail_to_load(self, instance: str, error: PlatError) -> None:
        self._ready[instance].set_exception(error)

    def end(self, instance: str, reason: str = "exited", detail: str = "It exited.") -> None:
        """It ends by itself."""
        del self.running[instance]
        if self._listener is not None:
            self._listener.exited(Exited(instance, reason, detail))

    # --- in the place of `pool.health`

    async def wait_ready(self, address: str, deadline: float) -> Health:
        await self._ready[_instance(address)]
        return Health()

    async def probe(self, address: str, timeout_s: float) -> Health | None:
        instance = _instance(address)
        if instance not in self.running:
            raise Unreachable(f"{address}: nobody listens")
        await self.probes_answered.wait()
        return Health(in_flight=self.in_flight.get(instance, 0))


def _instance(address: str) -> str:
    path = Address.parse(address).path
    assert path is not None
    return path.removeprefix("/")
