"""What a zip may hold: names, kinds of entries, links, and how much may come out of it.

Decides on a zip's table of contents and on counted bytes; `builder.repack` reads and writes.
"""

import re
import stat
import unicodedata
from collections.abc import Iterable, Mapping
from enum import Enum
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipInfo

from msgspec import Struct

from plat.errors import PlatError

MAX_ENTRIES = 20_000
MAX_PATH_BYTES = 1024
MAX_NAME_BYTES = 255
"""Bytes of one part of a path (NAME_MAX of Linux file systems)."""
MAX_DEPTH = 128
MAX_RATIO = 200
"""Unpacked over packed bytes. Deflate reaches 1032; source code and JSON stay below 30."""
RATIO_FREE_BYTES = 10 * 1024 * 1024
"""What any archive may unpack to, however well it is compressed."""
MAX_LINK_HOPS = 40
"""Links that a path may lead through, as Linux has it (path_resolution(7))."""
MAX_LINK_STEPS = 1_000_000
"""Path parts looked at to check all links of an archive: a bound on time, not met by real trees."""

_DRIVE = re.compile(r"[A-Za-z]:")
_ENCRYPTED_FLAGS = 0x1 | 0x40 | 0x2000
_UTF8_FLAG = 0x800


class Kind(Enum):
    FILE = "file"
    FOLDER = "folder"
    LINK = "link"


class Entry(Struct, frozen=True):
    """One entry that is allowed by itself. `path` has no `.` parts and no slash at its end."""

    path: str
    kind: Kind
    executable: bool
    info: ZipInfo


def refuse(detail: str) -> PlatError:
    return PlatError("invalid_archive", detail)


def shown(name: str) -> str:
    """A name as it can stand in a message, whatever is in it."""
    text = name.encode("unicode_escape").decode("ascii")
    return f'"{text if len(text) <= 120 else text[:119] + "…"}"'


def allowed_entries(infos: Iterable[ZipInfo]) -> list[Entry]:
    """The entries of a table of contents, sorted by path. Raises PlatError `invalid_archive`."""
    entries = sorted((allowed_entry(info) for info in infos), key=lambda entry: entry.path)
    _check_tree(entries)
    if all(entry.kind is Kind.FOLDER for entry in entries):
        raise refuse("The archive holds no files. Pack the contents of the function's folder.")
    return entries


def allowed_entry(info: ZipInfo) -> Entry:
    """One entry, looked at by itself. Raises PlatError `invalid_archive`."""
    name = _clean_name(info)
    if info.flag_bits & _ENCRYPTED_FLAGS:
        raise refuse(f"{shown(name)} is encrypted. Pack it without a password.")
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise refuse(
            f"{shown(name)} is compressed by method {info.compress_type}: expected 0 (stored) or 8 (deflate)."
        )
    mode = info.external_attr >> 16
    return Entry(
        path=_clean_path(name),
        kind=_kind(name, mode),
        executable=bool(mode & 0o111),
        info=info,
    )


def _clean_name(info: ZipInfo) -> str:
    """The entry's name as text, without characters that no path should have."""
    name = _decoded(info)
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise refuse(f"The name {shown(name)} has a control character.")
    if "\\" in name:
        raise refuse(f"The name {shown(name)} has a backslash. Paths in an archive are written with /.")
    return name


def _decoded(info: ZipInfo) -> str:
    """Names without the UTF-8 flag are UTF-8 too: zipfile reads those as CP437, which is undone."""
    if info.flag_bits & _UTF8_FLAG:
        return info.orig_filename
    try:
        return info.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError as error:
        raise refuse(f"The name {shown(info.orig_filename)} is not UTF-8.") from error


def _clean_path(name: str) -> str:
    """The path inside the tree; an empty one is the tree's own folder."""
    if name.startswith("/"):
        raise refuse(f"The path {shown(name)} is absolute: expected one inside the archive.")
    if _DRIVE.match(name):
        raise refuse(f"The path {shown(name)} begins with a drive letter: expected one inside the archive.")
    if len(name.encode()) > MAX_PATH_BYTES:
        raise refuse(f"The path {shown(name)} is longer than {MAX_PATH_BYTES} bytes.")
    parts = name.removesuffix("/").split("/")
    for part in parts:
        _check_part(part, name)
    if len(parts) > MAX_DEPTH:
        raise refuse(f"The path {shown(name)} is deeper than {MAX_DEPTH} folders.")
    return "/".join(part for part in parts if part != ".")


def _check_part(part: str, name: str) -> None:
    if part == "..":
        raise refuse(f"The path {shown(name)} has a .. in it: expected one inside the archive.")
    if not part:
        raise refuse(f"The path {shown(name)} has an empty part.")
    if len(part.encode()) > MAX_NAME_BYTES:
        raise refuse(f"The path {shown(name)} has a part longer than {MAX_NAME_BYTES} bytes.")


def _kind(name: str, mode: int) -> Kind:
    """A folder is what ends in a slash; the mode, where there is one, must not say otherwise."""
    is_folder = name.endswith("/")
    match stat.S_IFMT(mode):
        case 0:
            return Kind.FOLDER if is_folder else Kind.FILE
        case stat.S_IFDIR if is_folder:
            return Kind.FOLDER
        case stat.S_IFREG if not is_folder:
            return Kind.FILE
        case stat.S_IFLNK if not is_folder:
            return Kind.LINK
        case stat.S_IFDIR | stat.S_IFREG | stat.S_IFLNK:
            raise refuse(f"{shown(name)}: the name and the mode disagree whether it is a folder.")
        case _:
            raise refuse(
                f"{shown(name)} is a special file (device, pipe or socket): expected files, folders, links."
            )


def _check_tree(entries: list[Entry]) -> None:
    """No name twice, and nothing below what is no folder."""
    by_path: dict[str, Entry] = {}
    for entry in entries:
        if entry.path in by_path:
            raise refuse(f"{shown(entry.path)} is in the archive twice.")
        if not entry.path and entry.kind is not Kind.FOLDER:
            raise refuse(f"The path {shown(entry.info.orig_filename)} names no file.")
        by_path[entry.path] = entry
    checked = ""
    for entry in entries:
        folder = entry.path.rpartition("/")[0]
        if folder != checked:
            _check_parents(entry.path, folder, by_path)
            checked = folder


def _check_parents(path: str, folder: str, by_path: Mapping[str, Entry]) -> None:
    while folder:
        above = by_path.get(folder)
        if above is not None and above.kind is not Kind.FOLDER:
            raise refuse(f"{shown(path)} lies below {shown(folder)}, which is a {above.kind.value}.")
        folder = folder.rpartition("/")[0]


def check_links(targets: Mapping[str, str]) -> None:
    """Every link, followed through all others, stays inside the tree. Raises PlatError.

    `targets`: the path of each link and what it points at. A target that does not exist is allowed.
    """
    steps = MAX_LINK_STEPS
    for path, target in targets.items():
        _check_target(path, target)
        steps = _follow(path, targets, steps)


def _check_target(path: str, target: str) -> None:
    if not target or len(target.encode()) > MAX_PATH_BYTES:
        raise refuse(f"The link {shown(path)} has a target that is empty or over {MAX_PATH_BYTES} bytes.")
    if any(unicodedata.category(character) == "Cc" for character in target) or "\\" in target:
        raise refuse(f"The link {shown(path)} points at {shown(target)}: a control character or backslash.")
    if target.startswith("/") or _DRIVE.match(target):
        raise refuse(f"The link {shown(path)} points at {shown(target)}: expected a relative path.")


def _follow(link: str, targets: Mapping[str, str], steps: int) -> int:
    """Walk the link as the kernel would; what is left of `steps`. Raises PlatError if it leaves."""
    todo = link.split("/")[::-1]
    place: list[str] = []
    hops = 0
    while todo:
        steps -= 1
        _step(place, todo.pop(), link, targets)
        here = "/".join(place)
        if here in targets and place:
            hops += 1
            place.pop()
            todo.extend(targets[here].split("/")[::-1])
        if hops > MAX_LINK_HOPS or steps <= 0:
            raise refuse(f"The link {shown(link)} leads through too many links, or in a circle.")
    return steps


def _step(place: list[str], part: str, link: str, targets: Mapping[str, str]) -> None:
    if part == "..":
        if not place:
            target = shown(targets[link])
            raise refuse(f"The link {shown(link)} points at {target}: it leads out of the archive.")
        place.pop()
    elif part not in ("", "."):
        place.append(part)


class Budget:
    """Bytes that may still come out of an archive of `packed_bytes`."""

    def __init__(self, packed_bytes: int, unpacked_limit_bytes: int) -> None:
        self._limit = unpacked_limit_bytes
        self._ratio_limit = max(RATIO_FREE_BYTES, packed_bytes * MAX_RATIO)
        self._spent = 0

    def check(self, claimed_bytes: int) -> None:
        """Refuse before any reading what already claims to be too large."""
        self._check(claimed_bytes)

    def spend(self, count: int) -> None:
        """`count` bytes came out. Raises PlatError `invalid_archive` when it is too much."""
        self._spent += count
        self._check(self._spent)

    def _check(self, unpacked: int) -> None:
        if unpacked > self._limit:
            raise refuse(f"The archive unpacks to more than the limit of {self._limit} bytes.")
        if unpacked > self._ratio_limit:
            raise refuse(
                f"The archive unpacks to more than {MAX_RATIO} times its size, as an archive bomb does."
            )
