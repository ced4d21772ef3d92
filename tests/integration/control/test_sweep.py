"""Unused artifacts are deleted, and none that a deploy may be about to use."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control.store import Store
from control.sweep import Sweeper
from plat.artifacts import FolderArtifacts
from tests.integration.control.test_store import function, version


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/plat.db")
    yield store
    await store.close()


@pytest.fixture
def artifacts(tmp_path: Path) -> FolderArtifacts:
    return FolderArtifacts(tmp_path / "artifacts")


async def put(artifacts: FolderArtifacts, folder: Path, content: str) -> str:
    (folder / "file").write_text(content)
    return await artifacts.put(folder / "file")


async def stored(artifacts: FolderArtifacts) -> set[str]:
    return {digest async for digest in artifacts.digests()}


async def test_only_unused_suspects_are_deleted(
    store: Store, artifacts: FolderArtifacts, tmp_path: Path
) -> None:
    used, unused, other = [await put(artifacts, tmp_path, content) for content in "abc"]
    async with store.changing() as tables:
        await tables.add_function(function("f"))
        await tables.add_version(version("f", 1, digest=used))
    sweeper = Sweeper(store, artifacts)
    sweeper.suspect({used, unused})
    await sweeper.sweep()
    assert await stored(artifacts) == {used, other}


async def test_while_a_build_runs_nothing_is_deleted(
    store: Store, artifacts: FolderArtifacts, tmp_path: Path
) -> None:
    digest = await put(artifacts, tmp_path, "a")
    sweeper = Sweeper(store, artifacts)
    await sweeper.begin_build()
    await sweeper.begin_build()
    sweeper.suspect({digest})
    await sweeper.sweep()
    sweeper.end_build()
    await sweeper.sweep()
    assert await stored(artifacts) == {digest}
    sweeper.end_build()
    await sweeper.sweep()
    assert await stored(artifacts) == set()


async def test_a_failure_is_logged_and_tried_again(
    store: Store, artifacts: FolderArtifacts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    digest = await put(artifacts, tmp_path, "a")
    sweeper = Sweeper(store, artifacts)
    sweeper.suspect({digest})
    folder = tmp_path / "artifacts" / digest[:2]
    kept = folder.rename(tmp_path / "kept")
    folder.write_text("in the way")
    await sweeper.sweep()
    assert "were not deleted" in caplog.text
    folder.unlink()
    kept.rename(folder)
    await sweeper.sweep()
    assert await stored(artifacts) == set()
