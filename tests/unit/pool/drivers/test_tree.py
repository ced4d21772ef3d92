"""A tree given to another folder: linked, and copied where it cannot be."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pool.drivers.tree import link_tree


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "package" / "below").mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "main.py").write_text("x = 1")
    (source / "package" / "below" / "data").write_bytes(b"\0\1")
    (source / "tool").write_text("#!/bin/sh")
    (source / "tool").chmod(0o555)
    (source / "link").symlink_to("package")
    (source / "dangling").symlink_to("/nowhere")
    for folder in (source / "package", source):
        folder.chmod(0o555)
    return source


@pytest.fixture
def target(tmp_path: Path) -> Path:
    target = tmp_path / "target"
    target.mkdir()
    return target


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_the_same_tree_and_the_same_files(source: Path, target: Path) -> None:
    assert link_tree(source, target) == 5
    assert names(target) == names(source)
    assert (target / "package/below/data").samefile(source / "package/below/data")
    assert (target / "main.py").stat().st_nlink == 2
    assert (target / "link").readlink() == Path("package")
    assert (target / "dangling").readlink() == Path("/nowhere")


def test_what_a_link_points_to_is_not_entered(source: Path, target: Path) -> None:
    link_tree(source, target)
    assert (target / "link").is_symlink()
    assert (source / "package" / "below" / "data").stat().st_nlink == 2


def test_folders_can_be_entered_by_anybody_whatever_the_umask(source: Path, target: Path) -> None:
    before = os.umask(0o077)
    try:
        link_tree(source, target)
    finally:
        os.umask(before)
    assert (target / "package" / "below").stat().st_mode & 0o777 == 0o755


@pytest.fixture
def elsewhere(source: Path) -> Iterator[Path]:
    """A folder on another file system."""
    shared_memory = Path("/dev/shm")
    if not shared_memory.exists() or shared_memory.stat().st_dev == source.stat().st_dev:
        pytest.skip("/dev/shm: no second file system here")
    with tempfile.TemporaryDirectory(dir=shared_memory) as name:
        yield Path(name)


def test_what_cannot_be_linked_is_copied(source: Path, elsewhere: Path) -> None:
    link_tree(source, elsewhere)
    assert names(elsewhere) == names(source)
    assert (elsewhere / "main.py").read_text() == "x = 1"
    assert (elsewhere / "main.py").stat().st_nlink == 1
    assert (elsewhere / "tool").stat().st_mode & 0o777 == 0o555
    assert (elsewhere / "dangling").readlink() == Path("/nowhere")


def test_what_is_there_already_is_not_replaced(source: Path, target: Path) -> None:
    (target / "main.py").write_text("mine")
    with pytest.raises(FileExistsError):
        link_tree(source, target)
    assert (target / "main.py").read_text() == "mine"


def test_code_that_is_not_there_is_told(tmp_path: Path, target: Path) -> None:
    with pytest.raises(FileNotFoundError):
        link_tree(tmp_path / "nowhere", target)
