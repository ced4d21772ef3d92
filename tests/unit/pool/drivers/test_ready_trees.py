"""Trees made ahead: whoever comes gets the same, and nothing stays of what nobody took."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from operator import contains
from pathlib import Path

import pytest

from plat.artifacts import remove_tree
from pool.drivers import ready_trees
from pool.drivers.ready_trees import LEAST_FILES, ReadyTrees

PATIENCE_S = 20.0


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return make_code(tmp_path / "code" / "a")


def make_code(code: Path) -> Path:
    (code / "vendor" / "below").mkdir(parents=True)
    (code / "main.py").write_text("x = 1")
    for number in range(LEAST_FILES):
        (code / "vendor" / "below" / f"{number}.py").touch()
    (code / "link").symlink_to("vendor")
    return code


@pytest.fixture
async def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ReadyTrees]:
    monkeypatch.setattr(ready_trees, "DELAY_S", 0)
    trees = ReadyTrees(tmp_path / "linked")
    await trees.open()
    yield trees
    await trees.close()
    assert not (tmp_path / "linked").exists()


@pytest.fixture
def target(tmp_path: Path) -> Callable[[], Path]:
    """A new empty folder each time."""
    folder = tmp_path / "targets"
    folder.mkdir()

    def new() -> Path:
        path = folder / str(len(list(folder.iterdir())))
        path.mkdir()
        return path

    return new


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


async def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


def made(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "linked").iterdir())


async def ready(trees: ReadyTrees) -> None:
    await until(lambda: trees._ready and not trees._making)


async def test_each_gets_the_whole_tree_whether_one_was_ready_or_not(
    trees: ReadyTrees, code: Path, target: Callable[[], Path], tmp_path: Path
) -> None:
    for _ in range(3):
        mine = target()
        await trees.give(code, mine)
        assert names(mine) == names(code)
        assert (mine / "main.py").samefile(code / "main.py")
        await ready(trees)
        assert len(made(tmp_path)) == 1


async def test_many_at_once_get_each_their_own(
    trees: ReadyTrees, code: Path, target: Callable[[], Path]
) -> None:
    await trees.give(code, target())
    await ready(trees)
    targets = [target() for _ in range(5)]
    await asyncio.gather(*(trees.give(code, each) for each in targets))
    assert all(names(each) == names(code) for each in targets)


async def test_small_code_is_not_made_ahead(
    trees: ReadyTrees, target: Callable[[], Path], tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    (small / "main.py").touch()
    await trees.give(small, target())
    assert not trees._making
    assert made(tmp_path) == []


async def test_what_was_added_to_the_code_since_is_there(
    trees: ReadyTrees, code: Path, target: Callable[[], Path]
) -> None:
    await trees.give(code, target())
    await ready(trees)
    (code / "vendor" / "below" / "new.py").touch()
    os.utime(code)
    mine = target()
    await trees.give(code, mine)
    assert names(mine) == names(code)


async def test_trees_of_removed_code_are_forgotten(
    trees: ReadyTrees, code: Path, target: Callable[[], Path], tmp_path: Path
) -> None:
    await trees.give(code, target())
    await ready(trees)
    await trees.forget_removed()
    assert len(made(tmp_path)) == 1
    code.rename(code.with_name("gone"))
    await trees.forget_removed()
    assert made(tmp_path) == []


async def test_code_that_is_not_there_is_told_also_when_a_tree_of_it_is(
    trees: ReadyTrees, code: Path, target: Callable[[], Path]
) -> None:
    await trees.give(code, target())
    await ready(trees)
    code.rename(code.with_name("gone"))
    with pytest.raises(FileNotFoundError):
        await trees.give(code, target())


async def test_the_least_recently_used_gives_way(
    trees: ReadyTrees, target: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready_trees, "MOST_TREES", 2)
    codes = [make_code(tmp_path / "code" / name) for name in "abc"]
    for code in codes:
        await trees.give(code, target())
        await until(partial(contains, trees._ready, code))
    await until(lambda: not trees._making)
    assert list(trees._ready) == codes[1:]
    assert len(made(tmp_path)) == 2


async def test_what_a_killed_pool_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "linked" / "left" / "below").mkdir(parents=True)
    trees = ReadyTrees(tmp_path / "linked")
    await trees.open()
    assert made(tmp_path) == []
    await trees.close()


async def test_closed_while_one_is_made_it_leaves_nothing(
    code: Path, target: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready_trees, "DELAY_S", 0)
    trees = ReadyTrees(tmp_path / "linked")
    await trees.open()
    await trees.give(code, target())
    await until(lambda: made(tmp_path) or trees._ready)
    await trees.close()
    assert not (tmp_path / "linked").exists()


async def test_a_few_files_are_linked_without_a_thread_once_they_are_known(
    tmp_path: Path, trees: ReadyTrees, target: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code" / "small"
    code.mkdir(parents=True)
    (code / "main.py").write_text("x = 1")
    handed_over = []
    in_a_thread = ready_trees._in_a_thread

    async def noted(work: Callable[[], int]) -> int:
        handed_over.append(code.name)
        return await in_a_thread(work)

    monkeypatch.setattr(ready_trees, "_in_a_thread", noted)
    for _ in range(3):
        await trees.give(code, given := target())
        assert names(given) == {"main.py"}
    assert handed_over == ["small"]
    for number in range(ready_trees.FEW_FILES):
        (code / f"{number}.py").touch()
    for _ in range(2):
        await trees.give(code, target())
    assert handed_over == ["small", "small"]


async def test_what_was_known_of_removed_code_is_forgotten(
    code: Path, trees: ReadyTrees, target: Callable[[], Path]
) -> None:
    await trees.give(code, target())
    remove_tree(code)
    await trees.forget_removed()
    assert trees._files == {}
