"""Trees linked ahead: linking a thousand files takes 10 ms, moving the tree of them takes none.

The first instance of some code waits for its links; behind it one more tree is made for the next.
"""

import asyncio
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from plat.artifacts import remove_tree
from plat.logs import get_logger
from plat.tasks import cancel, spawn, subtask
from pool.drivers.tree import link_tree

log = get_logger(__name__)

T = TypeVar("T")

LEAST_FILES = 50
"""What takes less than half a millisecond is not made ahead."""

FEW_FILES = 16
"""So many are linked in less time than it takes to hand them to a thread, which is 0.3 ms."""

MOST_TREES = 32
DELAY_S = 0.1
"""The first call of the instance that waits now comes first."""


class ReadyTree(NamedTuple):
    path: Path
    made_of_ns: int
    """The date of the code's folder: with another, something was added since."""


class ReadyTrees:
    """Of one folder, which is nobody else's, and on the file system of the code."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready: OrderedDict[Path, ReadyTree] = OrderedDict()
        """By their code, the least recently used first."""
        self._files: dict[Path, int] = {}
        """How many there were the last time, by their code."""
        self._making: dict[Path, asyncio.Task[None]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def open(self) -> None:
        """Without what a killed pool left."""
        await asyncio.to_thread(remove_tree, self._folder)
        self._folder.mkdir(mode=0o700, parents=True)

    async def close(self) -> None:
        await cancel(*self._making.values())
        self._ready.clear()
        await asyncio.to_thread(remove_tree, self._folder)

    async def give(self, code: Path, target: Path) -> None:
        """All of `code` into `target`, an empty folder. Raises OSError.

        Cancelled, it ends when its thread has: whoever removes `target` then finds all of it.
        """
        ready = self._ready.pop(code, None)
        if ready is not None and ready.made_of_ns == _date(code):
            await _in_a_thread(lambda: _move(ready.path, target))
            self._make_later(code)
            return
        if ready is not None:
            await asyncio.to_thread(remove_tree, ready.path)
        if self._files.get(code, FEW_FILES + 1) <= FEW_FILES:
            files = link_tree(code, target)
        else:
            files = await _in_a_thread(lambda: link_tree(code, target))
        self._files[code] = files
        if files >= LEAST_FILES:
            self._make_later(code)

    async def forget_removed(self) -> None:
        """A tree of code that is no more would keep its files on the disk."""
        gone = [code for code in self._files.keys() | self._ready.keys() if not code.exists()]
        for code in gone:
            self._files.pop(code, None)
            if (ready := self._ready.pop(code, None)) is not None:
                await asyncio.to_thread(remove_tree, ready.path)

    def _make_later(self, code: Path) -> None:
        if code not in self._making:
            self._making[code] = task = spawn(self._make(code), f"links of {code.name[:12]}")
            task.add_done_callback(lambda _: self._making.pop(code, None))

    async def _make(self, code: Path) -> None:
        await asyncio.sleep(DELAY_S)
        async with self._one_at_a_time:
            path = self._folder / secrets.token_hex(8)
            try:
                date = _date(code)
                path.mkdir()
                await _in_a_thread(lambda: link_tree(code, path))
            except OSError as error:
                log.debug("no tree can be made ahead", code=code.name, error=str(error))
                await asyncio.to_thread(remove_tree, path)
                return
            self._ready[code] = ReadyTree(path, date)
            if len(self._ready) > MOST_TREES:
                await asyncio.to_thread(remove_tree, self._ready.popitem(last=False)[1].path)


def _date(code: Path) -> int:
    return code.stat().st_mtime_ns


def _move(tree: Path, target: Path) -> None:
    with os.scandir(tree) as entries:
        for entry in entries:
            os.rename(entry.path, target / entry.name)  # noqa: PTH104 - an entry is no Path
    tree.rmdir()


async def _in_a_thread(work: Callable[[], T]) -> T:
    """Cancelled, it ends when the thread has."""
    working = subtask(asyncio.to_thread(work), "work in a thread")
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise
