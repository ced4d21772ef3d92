"""What every driver does: start, stop and list instances, and tell what happens to them.

A driver keeps no truth of its own: `list` reads it back from the machine (labels, folders), so that a
pool that was killed finds every instance again. Drivers pass `tests/integration/pool/test_drivers.py`.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct

from plat.feed import VersionEntry


class StartOrder(Struct, frozen=True):
    """What to start. `code` is the unpacked artifact, read-only, and stays there while it runs."""

    instance: str
    """16 hexadecimal digits, new for every instance."""
    version: VersionEntry
    code: Path


class Running(Struct, frozen=True):
    """An instance that exists, as the machine tells it; it need not be ready to serve."""

    instance: str
    version_id: str
    function: str
    number: int
    address: str
    """`unix:/path` or `tcp:host:port`."""
    started_at: datetime
    managed: bool = True
    """False: somebody else started it (by hand, with our labels). It is routed, and never stopped."""


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

    async def stop(self, instance: str, grace_s: float) -> None:
        """SIGTERM, `grace_s` seconds for what is in flight, SIGKILL; then nothing of it is left.

        One that is gone already is no error. Raises PlatError `engine_unavailable`.
        """
        ...

    async def list(self) -> list[Running]:
        """Every instance of this platform that runs now. Raises PlatError `engine_unavailable`."""
        ...
