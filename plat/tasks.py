"""The one way to start a task: named, kept alive, and never failing in silence."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from plat.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")

_running: set[asyncio.Task[Any]] = set()


def spawn(coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """Start `coroutine` as a task. An exception nobody awaits is logged with the task's name."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def subtask(coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """A task that its starter waits for, and whose exception it handles: nothing is logged here."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task failed", task=task.get_name(), exc_info=error)


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel and wait until each has ended, whatever it ended with (it was logged)."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
