"""The store in a folder: equal content is once, damage is noticed, and nothing is ever half there."""

import hashlib
from pathlib import Path

import pytest

from plat.artifacts import ArtifactNotFoundError, FolderArtifacts, sha256_of


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
