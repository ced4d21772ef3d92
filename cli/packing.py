"""A function's files as one zip: equal trees give equal bytes, whoever packs them and when."""

import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from cli.project import Entry
from plat.errors import PlatError

DATE = (1980, 1, 1, 0, 0, 0)
CHUNK_BYTES = 256 * 1024


class Packed(Struct, frozen=True):
    path: Path
    files: int
    size_bytes: int


def pack(entries: Iterable[Entry], target: Path) -> Packed:
    """Write the zip. Raises PlatError `invalid` when a file cannot be read, or two have one name."""
    names: set[str] = set()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in sorted(entries, key=lambda each: each.name):
            if entry.name in names:
                raise PlatError("invalid", f"{entry.name} is there twice: remove the one you do not want.")
            names.add(entry.name)
            _add(archive, entry)
    return Packed(path=target, files=len(names), size_bytes=target.stat().st_size)


def _add(archive: zipfile.ZipFile, entry: Entry) -> None:
    info = zipfile.ZipInfo(entry.name, DATE)
    info.create_system = 3  # Unix: the modes below count
    info.compress_type = zipfile.ZIP_DEFLATED
    mode = entry.path.lstat().st_mode
    if stat.S_ISLNK(mode):
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, str(entry.path.readlink()))
        return
    info.external_attr = (stat.S_IFREG | (0o755 if mode & 0o111 else 0o644)) << 16
    _copy(archive, info, entry.path)


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    info.file_size = path.stat().st_size  # so that zipfile knows when it needs ZIP64
    try:
        source = path.open("rb")
    except OSError as error:
        raise PlatError("invalid", f"{path} cannot be read: {error.strerror}.") from error
    with source, archive.open(info, "w") as target:
        while chunk := source.read(CHUNK_BYTES):
            target.write(chunk)
