"""The store in a folder: equal content is once, damage is noticed, and nothing is ever half there."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from plat.artifacts import (
    ArtifactNotFoundError,
    DamagedArtifactError,
    FolderArtifacts,
    extract,
    remove_tree,
    sha256_of,
)


@pytest.fixture
def store(tmp_path: Path) -> FolderArtifacts:
    return FolderArtifacts(tmp_path / "store")


def a_file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "source"
    path.write_bytes(content)
    return path


async def digests(store: FolderArtifacts) -> set[str]:
    return {digest async for digest in store.digests()}


async def test_what_was_put_can_be_fetched(store: FolderArtifacts, tmp_path: Path) -> None:
    content = b"x" * 1_000_000
    digest = await store.put(a_file(tmp_path, content))
    assert digest == hashlib.sha256(content).hexdigest() == sha256_of(tmp_path / "source")
    await store.fetch(digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content


async def test_the_same_content_is_stored_once(store: FolderArtifacts, tmp_path: Path) -> None:
    first = await store.put(a_file(tmp_path, b"one"))
    assert await store.put(a_file(tmp_path, b"one")) == first
    other = await store.put(a_file(tmp_path, b"two"))
    assert await digests(store) == {first, other}


async def test_what_is_not_there(store: FolderArtifacts, tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFoundError):
        await store.fetch("ab" * 32, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    await store.delete("ab" * 32)
    assert await digests(store) == set()


async def test_what_was_deleted_is_gone(store: FolderArtifacts, tmp_path: Path) -> None:
    digest = await store.put(a_file(tmp_path, b"one"))
    await store.delete(digest)
    with pytest.raises(ArtifactNotFoundError):
        await store.fetch(digest, tmp_path / "copy")


async def test_damage_is_noticed_and_not_handed_out(store: FolderArtifacts, tmp_path: Path) -> None:
    digest = await store.put(a_file(tmp_path, b"one"))
    (tmp_path / "store" / digest[:2] / digest).write_bytes(b"two")
    with pytest.raises(OSError, match="damaged"):
        await store.fetch(digest, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


async def test_a_put_that_fails_leaves_nothing(store: FolderArtifacts, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await store.put(tmp_path / "nowhere")
    assert await digests(store) == set()


async def test_a_fetch_that_fails_leaves_no_temporary_file(store: FolderArtifacts, tmp_path: Path) -> None:
    digest = await store.put(a_file(tmp_path, b"one"))
    with pytest.raises(FileNotFoundError):
        await store.fetch(digest, tmp_path / "no folder" / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "store"]


# --- unpacking


def an_archive(path: Path, *entries: tuple[str, int, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, mode, content in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return path


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.lstat().st_mode & 0o777 for path in folder.rglob("*")}


def test_modes_and_links_survive_and_nothing_can_be_written(tmp_path: Path) -> None:
    archive = an_archive(
        tmp_path / "artifact.zip",
        ("bin/run", 0o100755, b"#!/bin/sh"),
        ("lib/deep/data.txt", 0o100644, b"data"),
        ("main.py", 0o100644, b""),
        ("lib/link", 0o120777, b"deep/data.txt"),
    )
    extract(archive, tmp_path / "code")
    found = modes(tmp_path / "code")
    assert found == {
        "bin": 0o555,
        "bin/run": 0o555,
        "lib": 0o555,
        "lib/deep": 0o555,
        "lib/deep/data.txt": 0o444,
        "lib/link": 0o777,
        "main.py": 0o444,
    }
    assert (tmp_path / "code" / "lib" / "link").read_text() == "data"
    assert (tmp_path / "code").stat().st_mode & 0o777 == 0o555


def test_an_empty_artifact_is_an_empty_folder(tmp_path: Path) -> None:
    extract(an_archive(tmp_path / "artifact.zip"), tmp_path / "code")
    assert list((tmp_path / "code").iterdir()) == []


@pytest.mark.parametrize(
    "entries",
    [
        [("../out", 0o100644, b"")],
        [("/etc/out", 0o100644, b"")],
        [("a/../../out", 0o100644, b"")],
        [("folder/", 0o40755, b"")],
        [("", 0o100644, b"")],
        [("link", 0o120777, b"/etc"), ("link/passwd", 0o100644, b"")],
        [("file", 0o100644, b""), ("file/below", 0o100644, b"")],
    ],
)
def test_what_leaves_the_folder_is_refused_and_leaves_nothing(
    tmp_path: Path, entries: list[tuple[str, int, bytes]]
) -> None:
    archive = an_archive(tmp_path / "artifact.zip", *entries)
    with pytest.raises(DamagedArtifactError):
        extract(archive, tmp_path / "code")
    assert [path.name for path in tmp_path.iterdir()] == ["artifact.zip"]


def test_a_cut_archive_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    archive = an_archive(tmp_path / "artifact.zip", ("main.py", 0o100644, b"x" * 1000))
    archive.write_bytes(archive.read_bytes()[:500])
    with pytest.raises(DamagedArtifactError, match=r"artifact\.zip"):
        extract(archive, tmp_path / "code")
    assert [path.name for path in tmp_path.iterdir()] == ["artifact.zip"]


def test_a_folder_that_is_there_already_is_not_touched(tmp_path: Path) -> None:
    archive = an_archive(tmp_path / "artifact.zip", ("main.py", 0o100644, b""))
    (tmp_path / "code").mkdir()
    with pytest.raises(FileExistsError):
        extract(archive, tmp_path / "code")
    assert list((tmp_path / "code").iterdir()) == []


def test_a_read_only_tree_can_be_removed(tmp_path: Path) -> None:
    extract(an_archive(tmp_path / "artifact.zip", ("a/b/c", 0o100644, b"")), tmp_path / "code")
    remove_tree(tmp_path / "code")
    remove_tree(tmp_path / "code")
    assert not (tmp_path / "code").exists()
