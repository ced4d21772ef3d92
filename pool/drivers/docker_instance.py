"""One container of ours as the driver holds it while it watches it."""

import asyncio

from plat.tasks import cancel, spawn
from pool.drivers.base import Running
from pool.drivers.docker_logs import ContainerLog


class DockerInstance:
    def __init__(self, running: Running, container: str, log: ContainerLog) -> None:
        self.running = running
        self.container = container
        self.stopping = False
        """Its end was asked for: nobody is told of it."""
        self.stops = 0
        """Requests to the engine that stop it, under way: whoever made one finishes it."""
        self.launched = asyncio.Event()
        """Set when `start` has returned it: its end is not told before."""
        self.out_of_memory = asyncio.Event()
        self.ended = False
        self.finishing = asyncio.Lock()
        self.sealing: asyncio.Task[None] | None = None
        self.naming: asyncio.Task[None] | None = None
        """Where it was given a function: the engine is being told whose it is."""
        self._log = log
        self._follower: asyncio.Task[None] | None = None

    def become(self, running: Running) -> None:
        """A warm instance was given a function."""
        self.running = running
        self._log.become(running)

    def follow(self) -> None:
        self._follower = spawn(self._log.follow(), f"log of instance {self.running.instance}")

    async def read_last_lines(self) -> None:
        if self._follower is None:
            self.follow()
        assert self._follower is not None
        await self._log.finish(self._follower)

    async def close(self) -> None:
        await cancel(*(task for task in (self._follower, self.sealing, self.naming) if task is not None))
