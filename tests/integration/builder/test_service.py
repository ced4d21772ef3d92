"""The builder on its socket: uploads, refusals, limits, and clients that leave."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED

import aiohttp
import msgspec
import pytest

import builder.service
from plat.model import Artifact, Problem
from plat.settings import Settings
from plat.tasks import cancel, spawn
from plat.web import session_for
from tests.integration.control.platform import running, until
from tests.unit.builder.zips import entry, zip_of

HELLO = zip_of(("main.py", "print('hello')\n"))


class Bench:
    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self.settings = settings
        self.session = session

    @property
    def temporary(self) -> list[Path]:
        return list((self.settings.data_dir / "tmp" / "builder").iterdir())

    @property
    def stored(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.settings.data_dir / "artifacts").glob("??/*")}

    async def post(self, data: Any, **headers: str) -> tuple[int, bytes]:
        body = io.BytesIO(data) if isinstance(data, bytes) else data
        async with self.session.post("/artifacts", data=body, headers=headers) as response:
            return response.status, await response.read()

    async def metrics(self) -> str:
        async with self.session.get("/metrics") as response:
            return await response.text()


@asynccontextmanager
async def bench_in(folder: Path, **changes: Any) -> AsyncIterator[Bench]:
    settings = Settings(data=str(folder), **changes)
    async with (
        running(builder.service.serve, settings, "builder"),
        session_for(settings.builder) as session,
    ):
        yield Bench(settings, session)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_in(tmp_path) as made:
        yield made


async def test_an_upload_becomes_an_artifact(bench: Bench) -> None:
    status, body = await bench.post(HELLO)
    artifact = msgspec.json.decode(body, type=Artifact)
    assert (status, artifact.files) == (201, 1)
    ((digest, content),) = bench.stored.items()
    assert digest == artifact.digest == hashlib.sha256(content).hexdigest()
    assert artifact.size_bytes == len(content)
    assert bench.temporary == []


async def test_equal_trees_are_stored_once(bench: Bench) -> None:
    await bench.post(HELLO)
    status, _ = await bench.post(zip_of(("./", ""), ("./main.py", "print('hello')\n")))
    assert (status, len(bench.stored)) == (201, 1)


@pytest.mark.parametrize(
    "data", [b"", b"no zip", HELLO[:-5], zip_of(("../x", "x")), zip_of(("a", bytes(20_000_000)))]
)
async def test_a_bad_archive_is_refused_and_leaves_nothing(data: bytes, bench: Bench) -> None:
    status, body = await bench.post(data)
    assert (status, msgspec.json.decode(body, type=Problem).code) == (422, "invalid_archive")
    assert (bench.stored, bench.temporary) == ({}, [])
    assert 'plat_build_total{result="invalid_archive"} 1.0' in await bench.metrics()


async def test_limits(tmp_path: Path) -> None:
    async with bench_in(tmp_path, archive_limit_bytes=500, unpacked_limit_bytes=1000) as bench:
        assert (await bench.post(zip_of(("a", bytes(1000)))))[0] == 201
        assert (await bench.post(zip_of(("a", bytes(1001)))))[0] == 422
        assert (await bench.post(bytes(501)))[0] == 413
        assert (await bench.post(_pieces(bytes(100), 6)))[0] == 413
        assert bench.temporary == []


async def test_a_declared_length_over_the_limit_is_refused_before_the_body_is_read(tmp_path: Path) -> None:
    async with bench_in(tmp_path, archive_limit_bytes=500) as bench:
        reader, writer = await asyncio.open_unix_connection(bench.settings.builder.path)
        writer.write(b"POST /artifacts HTTP/1.1\r\nHost: b\r\nContent-Length: 501\r\n\r\n")
        assert b" 413 " in await asyncio.wait_for(reader.readline(), 20)
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_leaves_leaves_nothing(bench: Bench) -> None:
    upload = spawn(bench.post(_endless(HELLO[:20])), "upload")
    await until(lambda: bench.temporary != [])
    await cancel(upload)
    await until(lambda: bench.temporary == [])
    assert (await bench.post(HELLO))[0] == 201
    assert len(bench.stored) == 1


async def test_stopping_during_an_upload_leaves_nothing(tmp_path: Path) -> None:
    async with bench_in(tmp_path) as bench:
        upload = spawn(bench.post(_endless(HELLO[:20])), "upload")
        await until(lambda: bench.temporary != [])
    assert bench.temporary == []
    await cancel(upload)
    assert bench.settings.builder.path
    assert not Path(bench.settings.builder.path).exists()


async def test_what_a_killed_builder_left_is_removed_at_start(tmp_path: Path) -> None:
    folder = tmp_path / "tmp" / "builder"
    folder.mkdir(parents=True)
    (folder / "old").write_bytes(b"x")
    async with bench_in(tmp_path) as bench:
        assert bench.temporary == []


async def test_many_uploads_at_once(bench: Bench) -> None:
    answers = await asyncio.gather(*(bench.post(zip_of(("a", f"{number % 5}"))) for number in range(20)))
    assert {status for status, _ in answers} == {201}
    assert len(bench.stored) == 5
    metrics = await bench.metrics()
    assert 'plat_build_total{result="ok"} 20.0' in metrics
    assert "plat_build_seconds_count 20.0" in metrics


async def test_an_archive_of_some_size_is_streamed(bench: Bench) -> None:
    """200 MB through a process whose memory must not grow by as much."""
    data = zip_of(*((entry(f"{n}", method=ZIP_STORED), b"%04d" % n * 250_000) for n in range(200)))
    before = _resident_peak_kb()
    status, body = await bench.post(data)
    assert (status, msgspec.json.decode(body, type=Artifact).files) == (201, 200)
    assert msgspec.json.decode(body, type=Artifact).size_bytes > 200_000_000
    assert _resident_peak_kb() - before < 100_000


def _resident_peak_kb() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")


async def _pieces(piece: bytes, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield piece


async def _endless(first: bytes) -> AsyncIterator[bytes]:
    yield first
    await asyncio.Event().wait()
