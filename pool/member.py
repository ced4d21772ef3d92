"""An instance as the pool knows it. `fleet` changes its state; `lifecycle` has what may follow what."""

import asyncio
from datetime import UTC, datetime

from plat.feed import VersionEntry
from plat.logs import get_logger
from pool.drivers.base import Exited
from pool.lifecycle import State, follow

log = get_logger(__name__)


class Member:
    """One instance of one version."""

    def __init__(self, instance: str, version: VersionEntry, state: State, *, managed: bool = True) -> None:
        self.id = instance
        self.version = version
        self.state = state
        self.managed = managed
        self.address = ""
        self.started_at = datetime.now(UTC)
        self.died: asyncio.Future[Exited] = asyncio.get_running_loop().create_future()
        self.serves: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        """Monotonic: since when, as a router says that the instance has told it, often before it tells us."""
        self.ready_at = float("-inf")
        """Monotonic; of one that was adopted it is not known."""
        self.start_s = 0.0
        """What its start took, from the need to ready."""
        self.drain_by = float("inf")
        self.stopping = False
        self.resuming = False
        """Paused, but not for long: it counts as on its way."""
        self.pause_failures = 0
        """In a row: the engine refused."""
        self.pause_from = float("-inf")
        """Monotonic; not before then is another pause tried."""
        self.switching = asyncio.Lock()
        """The engine pauses or resumes it."""

    def become(self, state: State) -> None:
        self.enter(state)
        self.log(state)

    def enter(self, state: State) -> None:
        """Without a word: a line takes 0.05 to 0.15 ms, and what follows may be urgent."""
        self.state = follow(self.state, state)

    def log(self, state: State) -> None:
        log.info(
            "instance",
            instance=self.id,
            function=self.version.function,
            version=self.version.number,
            state=state.value,
        )
