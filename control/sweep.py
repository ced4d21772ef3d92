"""Deletes artifacts that no version refers to any more, and never one that a deploy may be about to use.

A build answers with a digest that may exist already, before any version refers to it. So nothing is
deleted while a build runs, and no build begins while something is deleted.
"""

import asyncio
from collections.abc import Collection

from control.store import Store
from plat.artifacts import Artifacts
from plat.logs import get_logger

log = get_logger(__name__)


class Sweeper:
    def __init__(self, store: Store, artifacts: Artifacts) -> None:
        self._store = store
        self._artifacts = artifacts
        self._suspects: set[str] = set()
        self._builds = 0
        self._sweeping = asyncio.Lock()

    async def begin_build(self) -> None:
        """Before a build; `end_build` when its version is stored, or it has failed."""
        async with self._sweeping:
            self._builds += 1

    def end_build(self) -> None:
        self._builds -= 1

    def suspect(self, digests: Collection[str]) -> None:
        """These may have become unused. Said before the commit, a sweep could look too early."""
        self._suspects.update(digests)

    async def sweep(self) -> None:
        """Delete what is unused; while builds run, that waits for the next call. Failures are logged."""
        async with self._sweeping:
            if self._builds or not self._suspects:
                return
            try:
                await self._sweep()
            except Exception as error:
                log.warning("unused artifacts were not deleted", detail=str(error), exc_info=error)

    async def _sweep(self) -> None:
        looked_at = frozenset(self._suspects)  # more may be suspected meanwhile: they are for the next time
        async with self._store.reading() as tables:
            unused = await tables.unused(looked_at)
        for digest in unused:
            await self._artifacts.delete(digest)
        self._suspects -= looked_at
