"""What every driver does: start, stop and list instances, and tell what happens to them.

A driver keeps no truth of its own: `list` reads it back from the machine (labels, folders), so that a
pool that was killed finds every instance again. Drivers pass `test_drivers.py` and `test_warm_instances.py`
in `tests/integration/pool`.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct

from plat.feed import VersionEntry
from plat.model import VersionSpec


class StartOrder(Struct, frozen=True):
    """What to start. `code` is the unpacked artifact, read-only, and stays there while it runs."""

    instance: str
    """16 hexadecimal digits, new for every instance."""
    version: VersionEntry
    code: Path


class Kind(Struct, frozen=True):
    """What a warm instance and a version must have in common: all that cannot be changed once it runs."""

    runtime: str
    memory_mb: int
    cpu: float

    @classmethod
    def of(cls, spec: VersionSpec) -> "Kind":
        return cls(spec.runtime, spec.memory_mb, spec.cpu)


class LoadOrder(Struct, frozen=True):
    """The body of `POST /_plat/load` (DESIGN 9). Never logged: `env` has the function's secrets."""

    function: str
    version: int
    handler: str
    event: str
    concurrency: int
    timeout_s: float
    memory_mb: int
    code: str
    """Where the instance finds it."""
    env: dict[str, str]


class WarmOrder(Struct, frozen=True):
    """A warm instance to start: a runtime that has no function yet."""

    instance: str
    kind: Kind


class Running(Struct, frozen=True):
    """An instance that exists, as the machine tells it; it need not be ready to serve.

    Of a warm one, `function` and `version_id` are empty and `kind` says what it can become.
    """

    instance: str
    version_id: str
    function: str
    number: int
    address: str
    """`unix:/path` or `tcp:host:port`."""
    started_at: datetime
    managed: bool = True
    """False: somebody else started it (by hand, with our labels). It is routed, and never stopped."""
    kind: Kind | None = None
    paused: bool = False


class Placed(Struct, frozen=True):
    """A warm instance that has the code of a version, and what it must be told to load it."""

    running: Running
    load: LoadOrder


class Exited(Struct, frozen=True):
    """An instance that ended by itself. Not told of those that `stop` ended."""

    instance: str
    reason: str
    """`out_of_memory`, `exited`, `signalled` or `unknown`."""
    detail: str
    """A sentence for the user: `The process exited with status 3.`"""


class Written(Struct, frozen=True):
    """A line that an instance wrote, without its line break."""

    instance: str
    stream: Literal["stdout", "stderr"]
    time: datetime
    message: str
    function: str = ""
    number: int = 0
    """Of which version: lines may come of an instance that the pool has not adopted yet."""


class Listener(Struct, frozen=True):
    """Where a driver tells what happens. All are called on the event loop and do not block."""

    exited: Callable[[Exited], None]
    changed: Callable[[], None]
    """Something may have been missed, or something unknown appeared: list again."""
    wrote: Callable[[Written], None]
    last_written: Callable[[str], datetime | None]
    """The time of the last line that is kept of an instance: where to go on after a restart."""


class Driver(Protocol):
    """Starts and stops instances. The constructor does no I/O; `open` does."""

    name: str

    async def open(self, listener: Listener) -> None:
        """Begin to watch. Raises PlatError `engine_unavailable` if the engine does not answer."""
        ...

    async def close(self) -> None:
        """Stop watching. Instances go on: whoever wants them gone stops them first."""
        ...

    async def start(self, order: StartOrder) -> Running:
        """Launch; returns before the instance is ready to serve, whose address is known already.

        Cancelled or failed, it leaves nothing behind. Raises PlatError: `engine_unavailable` when
        the engine does not answer, `instance_start_failed` when this instance cannot be launched.
        """
        ...

    async def warm(self, order: WarmOrder) -> Running:
        """Launch a runtime without a function. Otherwise as `start`."""
        ...

    async def place(self, order: StartOrder) -> Placed:
        """Give the code to the warm instance `order.instance`, read-only, and note whose it is from now on.

        It is for the caller then to send the order to load. From here on `list` tells the version, or, where
        that was not noted yet when the pool was killed, a warm instance that says itself that it is none.
        Raises PlatError; the instance is of no use then, and must be stopped.
        """
        ...

    async def pause(self, instance: str) -> None:
        """Nothing in it runs until `resume`. Paused already is no error. Raises PlatError."""
        ...

    async def resume(self, instance: str) -> None:
        """Raises PlatError."""
        ...

    async def cpu_s(self, instance: str) -> float:
        """Processor seconds that all processes of it have used since it began. Raises PlatError."""
        ...

    async def stop(self, instance: str, grace_s: float) -> None:
        """SIGTERM, `grace_s` seconds for what is in flight, SIGKILL; then nothing of it is left.

        One that is gone already is no error. Raises PlatError `engine_unavailable`.
        """
        ...

    async def list(self) -> list[Running]:
        """Every instance of this platform that runs now. Raises PlatError `engine_unavailable`."""
        ...
