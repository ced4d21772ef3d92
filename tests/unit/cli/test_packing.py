"""The zip: equal trees give equal bytes, modes and links survive, names are there once."""

import os
import stat
import zipfile
from pathlib import Path

import pytest

from cli.packing import pack
from cli.project import Entry, entries
from plat.errors import PlatError


def a_tree(folder: Path) -> Path:
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "b.py").write_text("b = 1\n" * 1000)
    (folder / "a.py").write_text("a = 1\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o700)
    (folder / "link").symlink_to("lib/b.py")
    return folder


def test_equal_trees_give_equal_bytes_whenever_they_were_written(tmp_path: Path) -> None:
    one, two = a_tree(tmp_path / "one"), a_tree(tmp_path / "two")
    os.utime(two / "a.py", (1, 1_000_000_000))
    (two / "a.py").chmod(0o640)
    first = pack(entries(one), tmp_path / "one.zip")
    second = pack(reversed(entries(two)), tmp_path / "two.zip")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert (first.files, first.size_bytes) == (4, first.path.stat().st_size)


def test_a_changed_byte_changes_it(tmp_path: Path) -> None:
    one, two = a_tree(tmp_path / "one"), a_tree(tmp_path / "two")
    (two / "a.py").write_text("a = 2\n")
    first, second = pack(entries(one), tmp_path / "one.zip"), pack(entries(two), tmp_path / "two.zip")
    assert first.path.read_bytes() != second.path.read_bytes()


def test_content_modes_and_links(tmp_path: Path) -> None:
    packed = pack(entries(a_tree(tmp_path / "tree")), tmp_path / "code.zip")
    with zipfile.ZipFile(packed.path) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
        assert archive.testzip() is None
        assert archive.read("lib/b.py") == b"b = 1\n" * 1000
        assert archive.read("link") == b"lib/b.py"
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert list(modes) == ["a.py", "lib/b.py", "link", "run.sh"]
    assert stat.S_ISLNK(modes["link"])
    assert modes["run.sh"] == stat.S_IFREG | 0o755
    assert modes["a.py"] == stat.S_IFREG | 0o644


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    with pytest.raises(PlatError, match=r"vendor/a\.py is there twice"):
        pack([Entry("vendor/a.py", path), Entry("vendor/a.py", path)], tmp_path / "code.zip")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "is a folder"
    folder.mkdir()
    with pytest.raises(PlatError, match="is a folder cannot be read: Is a directory"):
        pack([Entry("a", folder)], tmp_path / "code.zip")
