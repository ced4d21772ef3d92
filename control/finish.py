"""Work that must come to its end though the caller that began it is cancelled: commits, deploys."""

import asyncio
import functools
from collections.abc import Coroutine
from typing import Any, TypeVar

from plat.errors import PlatError
from plat.logs import get_logger
from plat.tasks import spawn

log = get_logger(__name__)

T = TypeVar("T")


class Finisher:
    """Owns such work. `close` waits for it, or with `cancel` first asks it to give up."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, T], name: str) -> T:
        """The result of `work`, or its error. Cancelling leaves; the work goes on."""
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        task = spawn(_settle(work, outcome, name), name)
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._ended, work, outcome))
        return await outcome

    def _ended(
        self, work: Coroutine[Any, Any, T], outcome: "asyncio.Future[T]", task: asyncio.Task[None]
    ) -> None:
        self._tasks.discard(task)
        work.close()  # a task that was cancelled before its first step has not touched it
        outcome.cancel()

    async def close(self) -> None:
        """Wait until all of it has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self) -> None:
        """Cancel all of it, and wait until it has ended."""
        for task in self._tasks:
            task.cancel()
        await self.close()


async def _settle(work: Coroutine[Any, Any, T], outcome: "asyncio.Future[T]", name: str) -> None:
    try:
        result = await work
    except Exception as error:
        if not outcome.done():
            outcome.set_exception(error)
        elif not isinstance(error, PlatError):
            log.error("unattended work failed", work=name, exc_info=error)
    else:
        if not outcome.done():
            outcome.set_result(result)
