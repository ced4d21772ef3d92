"""The workshop without HTTP: cancelled while a thread unpacks, and a disk that is full."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from builder.metrics import BuilderMetrics
from builder.workshop import Workshop
from plat.artifacts import FolderArtifacts
from plat.tasks import cancel, spawn
from tests.unit.builder.zips import zip_of


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def workshop_in(folder: Path, metrics: BuilderMetrics) -> Workshop:
    return Workshop(
        folder / "tmp",
        FolderArtifacts(folder / "artifacts"),
        metrics,
        archive_limit_bytes=10**9,
        unpacked_limit_bytes=10**9,
    )


async def test_cancelled_while_unpacking_it_leaves_nothing(tmp_path: Path) -> None:
    metrics = BuilderMetrics()
    workshop = workshop_in(tmp_path, metrics)
    await workshop.open()
    data = zip_of(*((f"{number}", bytes(1_000_000)) for number in range(9)), ("z", b"x" * 500))
    for turns in range(40):  # cancelled at every point that it reaches in this many turns of the loop
        build = spawn(workshop.build(once(data)), "build")
        for _ in range(turns):
            await asyncio.sleep(0)
        await cancel(build)
        assert build.cancelled() or build.done()
        assert list((tmp_path / "tmp").iterdir()) == []
    assert (await workshop.build(once(data))).files == 10
    assert b'plat_build_total{result="cancelled"}' in metrics.render()


async def test_a_folder_that_is_gone_fails_and_is_counted(tmp_path: Path) -> None:
    metrics = BuilderMetrics()
    workshop = workshop_in(tmp_path, metrics)
    with pytest.raises(OSError, match="No such file"):
        await workshop.build(once(b""))
    assert b'plat_build_total{result="failed"} 1.0' in metrics.render()
