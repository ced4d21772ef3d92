"""What the sweeper takes for unused while others begin, suspect and fail."""

import asyncio
from collections.abc import Callable, Collection

import pytest

from control.store import Store
from control.sweep import Sweeper
from plat.tasks import spawn
from tests.unit.control.fakes import Shelf, function_row, version_row

USED, UNUSED, LATE = "1" * 64, "2" * 64, "3" * 64


class Busy(Shelf):
    """Something else happens while the first artifact is deleted."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self._meanwhile = [meanwhile]

    async def delete(self, digest: str) -> None:
        if self._meanwhile:
            self._meanwhile.pop()()
        await super().delete(digest)


@pytest.fixture(autouse=True)
async def one_used(store: Store) -> None:
    async with store.changing() as tables:
        await tables.add_function(function_row())
        await tables.add_version(version_row(digest=USED))


async def swept(sweeper: Sweeper, shelf: Shelf, digests: Collection[str] = ()) -> list[str]:
    """What one more sweep deletes."""
    shelf.deleted.clear()
    sweeper.suspect(digests)
    await sweeper.sweep()
    return shelf.deleted


async def test_what_was_looked_at_once_is_not_looked_at_again(store: Store) -> None:
    shelf = Shelf()
    sweeper = Sweeper(store, shelf)
    assert await swept(sweeper, shelf, {USED, UNUSED}) == [UNUSED]
    assert await swept(sweeper, shelf) == []


async def test_what_is_suspected_during_a_sweep_is_for_the_next_one(store: Store) -> None:
    shelf = Busy(lambda: sweeper.suspect({USED, LATE}))
    sweeper = Sweeper(store, shelf)
    assert await swept(sweeper, shelf, {UNUSED}) == [UNUSED]
    assert await swept(sweeper, shelf) == [LATE]


async def test_a_failed_deletion_is_tried_again_with_all_that_was_left(store: Store) -> None:
    def fail() -> None:
        raise OSError("in the way")

    shelf = Busy(fail)
    sweeper = Sweeper(store, shelf)
    assert await swept(sweeper, shelf, {UNUSED, LATE}) == []
    assert sorted(await swept(sweeper, shelf)) == [UNUSED, LATE]


async def test_a_build_waits_for_a_sweep_and_a_sweep_for_no_build(store: Store) -> None:
    began_early: list[bool] = []
    shelf = Busy(lambda: began_early.append(build.done()))
    sweeper = Sweeper(store, shelf)
    sweeper.suspect({UNUSED})
    sweep = spawn(sweeper.sweep(), "sweep")
    await asyncio.sleep(0)
    build = spawn(sweeper.begin_build(), "build")
    await asyncio.gather(sweep, build)
    assert (began_early, shelf.deleted) == ([False], [UNUSED])
    assert await swept(sweeper, shelf, {LATE}) == []
    sweeper.end_build()
    assert await swept(sweeper, shelf) == [LATE]
