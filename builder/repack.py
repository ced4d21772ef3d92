"""From an uploaded zip to the canonical artifact: reads and writes what `builder.unpack` allows.

Streams, so that memory does not grow with the archive. Blocking: runs in a thread.
"""

import errno
import io
import stat
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO
from zipfile import ZIP_STORED, BadZipFile, LargeZipFile, ZipFile, ZipInfo

from builder.unpack import (
    MAX_ENTRIES,
    MAX_PATH_BYTES,
    Budget,
    Entry,
    Kind,
    allowed_entries,
    check_links,
    refuse,
    shown,
)

CHUNK_BYTES = 256 * 1024
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first date that a zip can carry: one for all, so that equal trees make equal bytes."""
MODE_FILE = stat.S_IFREG | 0o644
MODE_EXECUTABLE = stat.S_IFREG | 0o755
MODE_LINK = stat.S_IFLNK | 0o777

MAX_DIRECTORY_BYTES = MAX_ENTRIES * (46 + MAX_PATH_BYTES + 512)
_ENTRY_SIGNATURE = b"PK\x01\x02"
_UNIX = 3
_LOCAL_HEADER = struct.Struct("<4s22sHH")

_DAMAGE = (
    BadZipFile,
    LargeZipFile,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
    zlib.error,
)


class CancelledRepackError(Exception):
    """The `cancelled` event was set: nothing of the artifact is to be used."""


def repack(source: Path, target: IO[bytes], unpacked_limit_bytes: int, cancelled: threading.Event) -> int:
    """Write the canonical artifact of the zip `source` to `target`; how many files and links it has.

    Raises PlatError `invalid_archive`, OSError when writing fails, CancelledRepackError.
    """
    budget = Budget(source.stat().st_size, unpacked_limit_bytes)
    with source.open("rb") as raw, _opened(raw) as archive:
        entries = [entry for entry in allowed_entries(archive.infolist()) if entry.kind is not Kind.FOLDER]
        budget.check(sum(entry.info.file_size for entry in entries))
        _check_overlaps(archive, raw)
        check_links(
            {entry.path: _link_target(archive, entry) for entry in entries if entry.kind is Kind.LINK}
        )
        with ZipFile(target, "w", ZIP_STORED, strict_timestamps=True) as output:
            for entry in entries:
                _copy(archive, entry, output, budget, cancelled)
    return len(entries)


class _BoundedReader(io.RawIOBase):
    """The upload, for zipfile: refuses a table of contents too large to be held in memory."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.opening = True

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY_BYTES:
            raise refuse(f"The table of contents has {size} bytes: {MAX_DIRECTORY_BYTES} are allowed.")
        data = self._raw.read(size)
        if self.opening and data.count(_ENTRY_SIGNATURE) > MAX_ENTRIES:
            raise refuse(f"The archive has more than {MAX_ENTRIES} entries.")
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


@contextmanager
def _opened(raw: BinaryIO) -> Iterator[ZipFile]:
    reader = _BoundedReader(raw)
    with _damage_refused("The upload is not a zip, or it was cut off"):
        archive = ZipFile(reader)
    reader.opening = False
    with archive:
        yield archive


@contextmanager
def _damage_refused(what: str) -> Iterator[None]:
    """Turn whatever zipfile raises for bad bytes into a refusal."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise refuse(f"{what}: a name or a link is not UTF-8.") from error
    except _DAMAGE as error:
        raise refuse(f"{what}: {error or type(error).__name__}.") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: a seek to before the start, asked for by bad bytes
            raise
        raise refuse(f"{what}: it points outside of itself.") from error


def _check_overlaps(archive: ZipFile, raw: BinaryIO) -> None:
    """No byte belongs to two entries: the trick of bombs that no ratio per entry can see."""
    end_of_last = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if info.header_offset < end_of_last:
            raise refuse(f"{shown(info.orig_filename)} overlaps another entry.")
        end_of_last = _end_of(info, raw)
    if end_of_last > archive.start_dir:
        raise refuse("The last entry overlaps the table of contents.")


def _end_of(info: ZipInfo, raw: BinaryIO) -> int:
    """Where the entry's packed bytes end, by its own local header."""
    with _damage_refused(f"{shown(info.orig_filename)} is damaged"):
        raw.seek(info.header_offset)
        _, _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(raw.read(_LOCAL_HEADER.size))
    return info.header_offset + _LOCAL_HEADER.size + int(name_bytes) + int(extra_bytes) + info.compress_size


def _link_target(archive: ZipFile, entry: Entry) -> str:
    with _damage_refused(f"The link {shown(entry.path)} is damaged"), archive.open(entry.info) as source:
        content = source.read(MAX_PATH_BYTES + 1)
        source.read(1)  # so that a short one is read to its end, where zipfile checks the CRC
        return content.decode("utf-8")


def _copy(
    archive: ZipFile, entry: Entry, output: ZipFile, budget: Budget, cancelled: threading.Event
) -> None:
    """Copy one entry, counting what really comes out. The header's size only has to agree with it."""
    with output.open(_canonical_info(entry), "w") as target:
        left = entry.info.file_size
        for chunk in _chunks(archive, entry):
            if cancelled.is_set():
                raise CancelledRepackError
            budget.spend(len(chunk))
            left -= len(chunk)
            target.write(chunk)
        if left:
            raise refuse(f"{shown(entry.path)} has not the size that the table of contents says.")


def _chunks(archive: ZipFile, entry: Entry) -> Iterator[bytes]:
    what = f"{shown(entry.path)} is damaged"
    with _damage_refused(what):
        source: IO[bytes] = archive.open(entry.info)
    with source:
        while True:
            with _damage_refused(what):
                chunk = source.read(CHUNK_BYTES)
            if not chunk:
                return
            yield chunk


def _canonical_info(entry: Entry) -> ZipInfo:
    info = ZipInfo(entry.path, EPOCH)
    info.compress_type = ZIP_STORED
    info.create_system = _UNIX
    info.file_size = entry.info.file_size
    info.external_attr = _mode(entry) << 16
    return info


def _mode(entry: Entry) -> int:
    if entry.kind is Kind.LINK:
        return MODE_LINK
    return MODE_EXECUTABLE if entry.executable else MODE_FILE
