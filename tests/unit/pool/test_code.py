"""The cache of unpacked code: once for many, whole or not at all, and pruned."""

import asyncio
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from plat.artifacts import FolderArtifacts
from plat.errors import PlatError
from pool.code import CodeCache


class CountingArtifacts(FolderArtifacts):
    """Counts fetches, and holds them back until it is let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.fetches = 0
        self.go = asyncio.Event()
        self.go.set()

    async def fetch(self, digest: str, path: Path) -> None:
        self.fetches += 1
        await self.go.wait()
        await super().fetch(digest, path)


@pytest.fixture
def artifacts(tmp_path: Path) -> CountingArtifacts:
    return CountingArtifacts(tmp_path / "artifacts")


@pytest.fixture
async def digest(artifacts: CountingArtifacts, tmp_path: Path) -> AsyncIterator[str]:
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        archive.writestr("main.py", "x = 1")
        archive.writestr("below/data", "y")
    yield await artifacts.put(tmp_path / "one.zip")


@pytest.fixture
async def cache(artifacts: CountingArtifacts, tmp_path: Path) -> AsyncIterator[CodeCache]:
    cache = CodeCache(artifacts, tmp_path / "code")
    yield cache
    await cache.close()


async def test_closed_it_leaves_no_task_and_no_process(
    cache: CodeCache, artifacts: CountingArtifacts, digest: str
) -> None:
    path = await cache.code(digest)
    for _ in range(20):  # the compiler is being started
        await asyncio.sleep(0.001)
    await cache.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    artifacts.go.clear()
    asking = asyncio.ensure_future(cache.code("f" * 64))  # noqa: TID251 - the test waits for it
    await asyncio.sleep(0.01)
    await cache.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_it_is_unpacked_once_for_all_who_ask(
    cache: CodeCache, artifacts: CountingArtifacts, digest: str
) -> None:
    paths = await asyncio.gather(*(cache.code(digest) for _ in range(20)))
    assert artifacts.fetches == 1
    assert len(set(paths)) == 1
    assert (paths[0] / "main.py").read_text() == "x = 1"
    assert await cache.code(digest) == paths[0]
    assert artifacts.fetches == 1


async def test_another_pool_finds_it_there(
    cache: CodeCache, artifacts: CountingArtifacts, digest: str
) -> None:
    path = await cache.code(digest)
    assert await CodeCache(artifacts, path.parent).code(digest) == path
    assert artifacts.fetches == 1


async def test_one_who_gives_up_does_not_disturb_the_others(
    cache: CodeCache, artifacts: CountingArtifacts, digest: str
) -> None:
    artifacts.go.clear()
    async with asyncio.TaskGroup() as group:
        impatient = group.create_task(cache.code(digest))
        patient = group.create_task(cache.code(digest))
        await asyncio.sleep(0)
        impatient.cancel()
        artifacts.go.set()
    assert (patient.result() / "main.py").exists()


def used(*digests: str) -> Callable[[], Awaitable[set[str]]]:
    async def look() -> set[str]:
        return set(digests)

    return look


async def test_what_a_killed_pool_left_half_is_no_hindrance_and_goes(
    cache: CodeCache, digest: str, tmp_path: Path
) -> None:
    half = tmp_path / "code" / f".{digest}.abcd"
    half.mkdir(parents=True)
    (half / "main.py").write_text("x =")
    path = await cache.code(digest)
    assert (path / "main.py").read_text() == "x = 1"
    await cache.prune(used(digest))
    assert [each.name for each in (tmp_path / "code").iterdir()] == [digest]


async def test_prune_keeps_what_is_named_and_what_is_on_its_way(
    cache: CodeCache, artifacts: CountingArtifacts, digest: str, tmp_path: Path
) -> None:
    await cache.code(digest)
    await cache.prune(used())
    assert list((tmp_path / "code").iterdir()) == []
    artifacts.go.clear()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(cache.code(digest))
        await asyncio.sleep(0)
        await cache.prune(used())
        artifacts.go.set()
    assert (asking.result() / "main.py").exists()


async def test_what_is_asked_for_while_prune_looks_around_stays(
    cache: CodeCache, digest: str, tmp_path: Path
) -> None:
    await cache.code(digest)

    async def deployed_meanwhile() -> set[str]:
        await cache.code(digest)
        return set()

    await cache.prune(deployed_meanwhile)
    assert [each.name for each in (tmp_path / "code").iterdir()] == [digest]
    await cache.prune(used())
    assert list((tmp_path / "code").iterdir()) == []


async def test_prune_before_anything_was_unpacked(cache: CodeCache) -> None:
    await cache.prune(used("x"))


async def test_an_artifact_that_is_gone_is_a_failed_start(cache: CodeCache, tmp_path: Path) -> None:
    with pytest.raises(PlatError, match="Deploy it again") as raised:
        await cache.code("ab" * 32)
    assert raised.value.code == "instance_start_failed"
    assert list((tmp_path / "code").iterdir()) == []


async def test_an_artifact_that_is_no_zip_is_a_failed_start_each_time(
    cache: CodeCache, artifacts: CountingArtifacts, tmp_path: Path
) -> None:
    (tmp_path / "bad").write_bytes(b"no zip")
    digest = await artifacts.put(tmp_path / "bad")
    for _ in range(2):
        with pytest.raises(PlatError, match="damaged"):
            await cache.code(digest)
    assert list((tmp_path / "code").iterdir()) == []


async def test_python_files_are_compiled_behind_the_first_start(
    cache: CodeCache, artifacts: CountingArtifacts, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "long.zip", "w") as archive:
        archive.writestr("main.py", "# long enough\n" * 200)
    digest = await artifacts.put(tmp_path / "long.zip")
    path = await cache.code(digest)
    assert [each.name for each in path.iterdir()] == ["main.py"]
    await cache.prune(used(digest))  # waits for what is being made
    assert sorted(each.name for each in path.iterdir()) == ["__pycache__", "main.py"]
    assert [each.name for each in path.parent.iterdir()] == [digest]


async def test_code_that_is_pruned_while_it_waits_to_be_compiled_is_no_error(
    cache: CodeCache, artifacts: CountingArtifacts, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "long.zip", "w") as archive:
        archive.writestr("main.py", "# long enough\n" * 200)
    async with cache._compiling:
        await cache.code(await artifacts.put(tmp_path / "long.zip"))
        assert cache._take_away(set())
    await cache.prune(used())
    assert list((tmp_path / "code").iterdir()) == []
