"""From a stream of bytes to a stored artifact, by way of temporary files that never stay.

Knows no HTTP. What a zip may hold is decided in `builder.unpack`.
"""

import asyncio
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, TypeVar

from builder.metrics import BuilderMetrics
from builder.repack import repack
from plat.artifacts import Artifacts
from plat.errors import PlatError
from plat.model import Artifact

BUILDS_AT_ONCE = 2
"""Threads that unpack at a time; uploads beyond wait with their bytes on disk."""

WRITE_BYTES = 1024 * 1024
"""Pieces of an upload are gathered to this much before a thread writes them."""

T = TypeVar("T")


class Workshop:
    """Makes artifacts. `folder` is its own: what a killed process left there is removed at `open`."""

    def __init__(
        self,
        folder: Path,
        artifacts: Artifacts,
        metrics: BuilderMetrics,
        *,
        archive_limit_bytes: int,
        unpacked_limit_bytes: int,
    ) -> None:
        self._folder = folder
        self._artifacts = artifacts
        self._metrics = metrics
        self._archive_limit = archive_limit_bytes
        self._unpacked_limit = unpacked_limit_bytes
        self._turns = asyncio.Semaphore(BUILDS_AT_ONCE)

    async def open(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, mode=0o700)

    def check_length(self, length: int | None) -> None:
        """Raises PlatError `body_too_large` for a declared length over the limit."""
        if length is not None and length > self._archive_limit:
            raise PlatError(
                "body_too_large",
                f"The archive has {length} bytes: {self._archive_limit} are allowed. Leave out what the"
                " function does not need.",
            )

    async def build(self, chunks: AsyncIterator[bytes]) -> Artifact:
        """Store what an upload makes. Raises PlatError `invalid_archive`, `body_too_large`; OSError.

        Cancelled or failed, it leaves nothing.
        """
        try:
            artifact = await self._build(chunks)
        except PlatError as error:
            self._metrics.total.labels(error.code).inc()
            raise
        except asyncio.CancelledError:
            self._metrics.total.labels("cancelled").inc()
            raise
        except Exception:
            self._metrics.total.labels("failed").inc()
            raise
        self._metrics.total.labels("ok").inc()
        return artifact

    async def _build(self, chunks: AsyncIterator[bytes]) -> Artifact:
        with tempfile.NamedTemporaryFile(dir=self._folder) as upload:
            await self._receive(chunks, upload.file)
            async with self._turns:
                with self._metrics.seconds.time():
                    return await self._repack_and_store(Path(upload.name))

    async def _receive(self, chunks: AsyncIterator[bytes], upload: IO[bytes]) -> None:
        received = 0
        waiting = bytearray()
        async for chunk in chunks:
            received += len(chunk)
            self.check_length(received)
            waiting += chunk
            if len(waiting) >= WRITE_BYTES:
                await asyncio.to_thread(upload.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(upload.write, bytes(waiting))
        upload.flush()

    async def _repack_and_store(self, upload: Path) -> Artifact:
        with tempfile.NamedTemporaryFile(dir=self._folder) as made:
            files = await _in_thread(
                lambda cancelled: _repack_into(upload, made.file, self._unpacked_limit, cancelled)
            )
            digest = await self._artifacts.put(Path(made.name))
            return Artifact(digest=digest, size_bytes=Path(made.name).stat().st_size, files=files)


def _repack_into(upload: Path, made: IO[bytes], limit: int, cancelled: threading.Event) -> int:
    files = repack(upload, made, limit, cancelled)
    made.flush()
    return files


async def _in_thread(work: Callable[[threading.Event], T]) -> T:
    """Run blocking work that looks at an event now and then; cancelling waits until it has ended."""
    cancelled = threading.Event()
    future = asyncio.get_running_loop().run_in_executor(None, work, cancelled)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        cancelled.set()
        await asyncio.wait([future])
        future.exception()  # nobody is left to tell it to
        raise
