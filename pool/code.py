"""The code of versions, unpacked: one read-only folder for each artifact digest, shared by instances.

A cache: every folder can be made again from the artifact store. Knows no instances and no drivers.
"""

import asyncio
import secrets
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from plat.artifacts import ArtifactNotFoundError, Artifacts, DamagedArtifactError, extract, remove_tree
from plat.errors import PlatError
from plat.logs import get_logger
from plat.tasks import cancel, spawn
from pool.bytecode import add_bytecode

log = get_logger(__name__)


class CodeCache:
    """A folder appears whole or not at all, so a pool that is killed halfway leaves nothing wrong."""

    def __init__(self, artifacts: Artifacts, folder: Path) -> None:
        self._artifacts = artifacts
        self._folder = folder
        self._found: dict[str, Path] = {}
        """Paths that were there: to make one takes longer than to see whether it still is."""
        self._unpacking: dict[str, asyncio.Task[Path]] = {}
        self._compiles: set[asyncio.Task[None]] = set()
        self._compiling = asyncio.Lock()
        self._asked_for: set[str] = set()
        """Since the last `prune` began."""

    async def code(self, digest: str) -> Path:
        """The folder with the code; fetched and unpacked once, however many ask at once.

        Safe to cancel: the unpacking goes on for the others who wait. Raises PlatError
        `instance_start_failed` (no such artifact, or a damaged one), OSError (disk full).
        """
        self._asked_for.add(digest)
        path = self._found.get(digest) or self._folder / digest
        if digest not in self._unpacking:
            if path.exists():
                self._found[digest] = path
                return path
            self._unpacking[digest] = task = spawn(self._fetch(digest, path), f"unpack {digest[:12]}")
            task.add_done_callback(lambda _: self._unpacking.pop(digest))
        return await asyncio.shield(self._unpacking[digest])

    async def close(self) -> None:
        """Nothing of it goes on. Whoever waits for code is cancelled."""
        await cancel(*self._unpacking.values())
        await cancel(*self._compiles)

    async def prune(self, used: Callable[[], Awaitable[set[str]]]) -> None:
        """Remove every folder whose digest is not `used`, and what a killed pool left half done.

        What is asked for while they are looked for is used too. Raises OSError.
        """
        async with self._compiling:  # what is being made is not half done
            self._asked_for.clear()
            keep = await used()
            doomed = self._take_away(keep | self._asked_for) if self._folder.exists() else []
        await asyncio.to_thread(_remove_all, doomed)

    def _take_away(self, keep: set[str]) -> list[Path]:
        """Renamed at once, so that `code` never hands out a folder that is being removed."""
        doomed = []
        for path in self._folder.iterdir():
            digest = path.name.lstrip(".").split(".")[0]
            if digest not in self._unpacking and path.name not in keep:
                self._found.pop(digest, None)
                doomed.append(path.rename(self._folder / f".{digest}.{secrets.token_hex(4)}"))
        return doomed

    async def _fetch(self, digest: str, path: Path) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(dir=self._folder, prefix=f".{digest}.") as scratch:
                archive = Path(scratch) / "artifact.zip"
                await self._artifacts.fetch(digest, archive)
                await asyncio.to_thread(extract, archive, path)
        except ArtifactNotFoundError as error:
            detail = f"The version's code (artifact {digest[:12]}) is not in the store. Deploy it again."
            raise PlatError("instance_start_failed", detail) from error
        except DamagedArtifactError as error:
            detail = f"The version's code (artifact {digest[:12]}) is damaged: {error}. Deploy it again."
            raise PlatError("instance_start_failed", detail) from error
        compiling = spawn(self._compile(path), f"compile {digest[:12]}")
        self._compiles.add(compiling)
        compiling.add_done_callback(self._compiles.discard)
        return path

    async def _compile(self, path: Path) -> None:
        """Behind the first start, which does not wait for it: later ones find it done. One at a time."""
        async with self._compiling:
            try:
                await add_bytecode(path)
            except OSError as error:
                log.warning("code could not be compiled ahead", code=path.name, error=str(error))


def _remove_all(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir():
            remove_tree(path)
        else:
            path.unlink(missing_ok=True)
