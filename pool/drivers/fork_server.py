"""Keeps a process that forks instances running: starts it when it is first wanted, and again when it dies.

Knows when, not how: what it is asked is `fork_process`'s. While there is none, instances are started without.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from plat.logs import get_logger
from plat.tasks import cancel, spawn
from pool.drivers.fork_process import ForkProcess

log = get_logger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
_DOUBLINGS = 7


def wait_s(failures: int) -> float:
    """Seconds until it is started again. One that was of use dies once in a long while: that one at once."""
    return 0 if failures < 2 else min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 2, _DOUBLINGS))


class ForkServer:
    """`argv` and `env` of the process. Use it within one event loop."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._argv = argv
        self._env = env
        self._failures = 0
        self._process: ForkProcess | None = None
        self._settled = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def want(self) -> None:
        """From now on there is to be one."""
        if self._keeper is None:
            self._keeper = spawn(self._keep(), f"fork server: {self._argv[0]}")

    @property
    def process(self) -> ForkProcess | None:
        """The one that can be asked now."""
        return self._process if self._process is not None and self._process.is_ready else None

    async def process_within(self, patience_s: float) -> ForkProcess | None:
        """Waits for one that is starting."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._settled.wait()
        return self.process

    def was_of_use(self) -> None:
        """It has made an instance: whatever ends it later is not its fault."""
        self._failures = 0

    async def close(self) -> None:
        """Its children go on."""
        if self._keeper is not None:
            await cancel(self._keeper)
        if self._process is not None:
            await self._process.close()

    async def _keep(self) -> None:
        while True:
            ended = await self._run_once()
            self._failures += 1
            self._settled.set()
            again_s = wait_s(self._failures)
            log.warning("the fork server ended; instances are started without", how=ended, again_s=again_s)
            await asyncio.sleep(again_s)

    async def _run_once(self) -> str:
        """How it ended."""
        try:
            self._process = process = ForkProcess(self._argv, self._env)
        except OSError as error:
            return str(error)
        self._settled.clear()
        await process.settled.wait()
        self._settled.set()
        await process.ended.wait()
        how = await process.close()
        self._process = None
        return how
