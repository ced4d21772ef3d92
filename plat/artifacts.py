"""Artifacts: built code, addressed by the SHA-256 of its bytes. The builder writes, the pool reads.

An artifact is a zip in canonical form (`builder.unpack` makes it). `FolderArtifacts` keeps them in a
folder; a store elsewhere (S3) has the same four methods and passes the same contract tests.
"""

import asyncio
import hashlib
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath
from typing import Protocol

CHUNK_BYTES = 256 * 1024


class ArtifactNotFoundError(KeyError):
    """No artifact has this digest."""


class Artifacts(Protocol):
    """A content-addressed store. Every method may be cancelled; a cancelled `put` leaves nothing."""

    async def put(self, path: Path) -> str:
        """Store a copy of the file; its digest, 64 hexadecimal digits. The same content twice is once."""
        ...

    async def fetch(self, digest: str, path: Path) -> None:
        """Write the artifact to `path`, its digest checked. Raises ArtifactNotFoundError."""
        ...

    async def delete(self, digest: str) -> None:
        """Remove it; one that is not there is no error."""
        ...

    def digests(self) -> AsyncIterator[str]:
        """The digest of every artifact, in no order."""
        ...


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FolderArtifacts:
    """Artifacts as files `<first two digits>/<digest>` below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, path: Path) -> str:
        return await asyncio.to_thread(self._put, path)

    async def fetch(self, digest: str, path: Path) -> None:
        await asyncio.to_thread(self._fetch, digest, path)

    async def delete(self, digest: str) -> None:
        await asyncio.to_thread(self._path(digest).unlink, missing_ok=True)

    async def digests(self) -> AsyncIterator[str]:
        for path in await asyncio.to_thread(lambda: list(self._folder.glob("??/*"))):
            if not path.name.startswith("."):
                yield path.name

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest

    def _put(self, path: Path) -> str:
        digest = sha256_of(path)
        target = self._path(digest)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy_atomically(path, target)
        return digest

    def _fetch(self, digest: str, path: Path) -> None:
        source = self._path(digest)
        if not source.exists():
            raise ArtifactNotFoundError(digest)
        _copy_atomically(source, path)
        if sha256_of(path) != digest:
            path.unlink()
            raise OSError(f"artifact {digest} is damaged: its content has another digest")


def _copy_atomically(source: Path, target: Path) -> None:
    """Copy by way of a temporary file in the target's folder, so that no reader sees a half."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as output, source.open("rb") as input_:
            while chunk := input_.read(CHUNK_BYTES):
                output.write(chunk)
            output.flush()
            os.fsync(output.fileno())
        temporary.rename(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


# --- unpacking


class DamagedArtifactError(ValueError):
    """The artifact is no zip in canonical form; the message says what is wrong."""


def extract(archive: Path, folder: Path) -> None:
    """Unpack an artifact into `folder`, which must not exist: read-only, and whole or not at all.

    Files get mode 0444, or 0555 where the archive has the x-bit; folders get 0555. Blocks: call it
    in a thread. A process killed halfway leaves only a folder whose name begins with a dot.
    Raises DamagedArtifactError, OSError.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists already")
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        with zipfile.ZipFile(archive) as content:
            _unpack(content, temporary)
        _make_read_only(temporary)
        temporary.rename(folder)
    except (zipfile.BadZipFile, FileExistsError, NotADirectoryError, EOFError) as error:
        remove_tree(temporary)
        raise DamagedArtifactError(f"{archive.name}: {error}") from error
    except BaseException:
        remove_tree(temporary)
        raise


def remove_tree(folder: Path) -> None:
    """Remove a folder that `extract` made read-only; one that is not there is no error."""
    if not folder.exists():
        return
    for path, _, _ in os.walk(folder):
        Path(path).chmod(0o700)
    shutil.rmtree(folder)


def _unpack(content: zipfile.ZipFile, folder: Path) -> None:
    """Links come last, so that no file is ever written through one."""
    links = []
    for entry in content.infolist():
        target = folder / _inside(entry.filename)
        mode = entry.external_attr >> 16
        if stat.S_ISLNK(mode):
            links.append((target, content.read(entry).decode()))
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with content.open(entry) as source, target.open("xb") as output:
            shutil.copyfileobj(source, output, CHUNK_BYTES)
            os.fchmod(output.fileno(), 0o555 if mode & 0o111 else 0o444)
    for target, goal in links:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(goal)


def _inside(name: str) -> PurePosixPath:
    """The builder refuses such names long before; this is the last door before the disk."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or name.endswith("/"):
        raise DamagedArtifactError(f"{name!r} is no name of a file inside the artifact")
    return path


def _make_read_only(folder: Path) -> None:
    for path, _, _ in os.walk(folder, topdown=False):
        Path(path).chmod(0o555)
