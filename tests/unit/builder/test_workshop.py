"""Limits, turns and temporary files of the workshop."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import builder.workshop
from builder.metrics import BuilderMetrics
from builder.workshop import BUILDS_AT_ONCE, Workshop
from plat.artifacts import FolderArtifacts
from plat.errors import PlatError
from plat.tasks import cancel, spawn
from tests.unit.builder.zips import zip_of

HELLO = zip_of(("main.py", "print('hello')\n"), ("lib/x.py", "x = 1\n"))


class Shelf(FolderArtifacts):
    """Waits while it is held, then stores; or fails with `error`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.error: Exception | None = None
        self.arrived = 0
        self.full = asyncio.Event()
        self.may_store = asyncio.Event()
        self.may_store.set()

    async def put(self, path: Path) -> str:
        self.arrived += 1
        if self.arrived == BUILDS_AT_ONCE:
            self.full.set()
        await self.may_store.wait()
        if self.error is not None:
            raise self.error
        return await super().put(path)


class Bench:
    def __init__(self, folder: Path, limit: int = 10**6) -> None:
        self.folder = folder / "a" / "tmp"
        self.shelf, self.metrics = Shelf(folder / "artifacts"), BuilderMetrics()
        self.workshop = Workshop(
            self.folder, self.shelf, self.metrics, archive_limit_bytes=limit, unpacked_limit_bytes=10**6
        )

    @property
    def temporary(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]

    def counted(self, result: str) -> float | None:
        return self.metrics.registry.get_sample_value("plat_build_total", {"result": result})


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    await bench.workshop.open()
    return bench


async def test_the_answer_says_what_is_stored(bench: Bench, tmp_path: Path) -> None:
    artifact = await bench.workshop.build(pieces(HELLO))
    stored = tmp_path / "artifacts" / artifact.digest[:2] / artifact.digest
    assert (artifact.size_bytes, artifact.files) == (stored.stat().st_size, 2)
    assert (bench.counted("ok"), bench.temporary) == (1, [])


@pytest.mark.parametrize("written_at", [1, 50, 10**6])
async def test_how_an_upload_is_cut_does_not_matter(
    written_at: int, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    def look(upload: Path, *_: object) -> int:
        seen.append(upload.read_bytes())
        return 0

    monkeypatch.setattr(builder.workshop, "WRITE_BYTES", written_at)
    monkeypatch.setattr(builder.workshop, "repack", look)
    await bench.workshop.build(pieces(HELLO))
    await bench.workshop.build(pieces(b"", *(HELLO[at : at + 1] for at in range(len(HELLO))), b""))
    assert seen == [HELLO, HELLO]


def test_the_limit_itself_is_allowed(tmp_path: Path) -> None:
    workshop = Bench(tmp_path, limit=10).workshop
    workshop.check_length(None)
    workshop.check_length(10)
    with pytest.raises(PlatError, match="has 11 bytes: 10 are allowed") as caught:
        workshop.check_length(11)
    assert caught.value.code == "body_too_large"


async def test_an_upload_is_read_only_until_it_is_too_long(tmp_path: Path) -> None:
    bench = Bench(tmp_path, limit=len(HELLO))
    await bench.workshop.open()
    chunks = pieces(HELLO, b"x", b"never read")
    with pytest.raises(PlatError) as caught:
        await bench.workshop.build(chunks)
    assert (caught.value.code, await anext(chunks)) == ("body_too_large", b"never read")
    assert (bench.counted("body_too_large"), bench.temporary) == (1, [])
    assert (await bench.workshop.build(pieces(HELLO))).files == 2


@pytest.mark.parametrize(
    ("error", "result"), [(OSError("no space"), "failed"), (PlatError("disk_full", "Full."), "disk_full")]
)
async def test_what_cannot_be_stored_leaves_nothing_and_gives_its_turn_back(
    error: Exception, result: str, bench: Bench
) -> None:
    bench.shelf.error = error
    for _ in range(BUILDS_AT_ONCE + 1):
        with pytest.raises(type(error)):
            await bench.workshop.build(pieces(HELLO))
    assert (bench.counted(result), bench.temporary) == (BUILDS_AT_ONCE + 1, [])
    bench.shelf.error = None
    assert (await bench.workshop.build(pieces(HELLO))).files == 2


async def test_only_so_many_build_at_a_time_and_a_cancelled_one_makes_room(bench: Bench) -> None:
    bench.shelf.may_store.clear()
    builds = [spawn(bench.workshop.build(pieces(HELLO)), "build") for _ in range(BUILDS_AT_ONCE)]
    await bench.shelf.full.wait()
    assert bench.workshop._turns.locked()
    waiting = spawn(bench.workshop.build(pieces(HELLO)), "waiting")
    await cancel(builds.pop())
    bench.shelf.may_store.set()
    await asyncio.gather(waiting, *builds)
    assert (bench.counted("ok"), bench.counted("cancelled")) == (BUILDS_AT_ONCE, 1)
    assert bench.temporary == []


async def test_opening_removes_what_was_left_and_keeps_others_out(bench: Bench) -> None:
    (bench.folder / "left").write_bytes(b"x")
    await bench.workshop.open()
    assert bench.temporary == []
    assert bench.folder.stat().st_mode & 0o777 == 0o700
