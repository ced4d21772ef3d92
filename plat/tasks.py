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


async def apart(coroutine: Coroutine[Any, Any, T], name: str) -> T:
    """What it gives, from a task of its own. Cancelled, this ends at once, even if `coroutine` does not.

    `asyncio.wait_for` loses a cancellation on Python 3.11 that comes as it ends (python/cpython#86296):
    whoever awaits a library that uses it may go on for ever.
    """
    task = subtask(coroutine, name)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.add_done_callback(_unwanted)
        task.cancel()
        raise
    return task.result()


def _unwanted(task: asyncio.Task[Any]) -> None:
    """Whoever waited for it has gone: what went wrong with it says nothing."""
    if not task.cancelled():
        task.exception()


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task failed", task=task.get_name(), exc_info=error)


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel and wait until each has ended, whatever it ended with (it was logged)."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
