"""A function's folder: `plat.toml` as a spec, and which files `.platignore` leaves in.

Reads the folder; packs nothing and sends nothing.
"""

import os
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from pathspec import GitIgnoreSpec

from plat.decoding import convert
from plat.errors import PlatError
from plat.model import FunctionSpec

PROJECT_FILE = "plat.toml"
IGNORE_FILE = ".platignore"

ALWAYS_IGNORED = (
    f"/{PROJECT_FILE}",  # the spec travels by itself: a change of its limits is no change of the code
    f"/{IGNORE_FILE}",
    ".git/",
    "__pycache__/",
    "*.py[co]",
    ".venv/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".DS_Store",
)
"""Patterns before those of `.platignore`, which can take them back with `!`."""


class Entry(Struct, frozen=True):
    """A file or a link to pack: its name in the archive, with slashes, and where it is."""

    name: str
    path: Path


def read_project(folder: Path) -> FunctionSpec:
    """The spec in `plat.toml`. Raises PlatError `invalid` naming file, key, value and what is allowed."""
    path = folder / PROJECT_FILE
    try:
        return convert(tomllib.loads(path.read_text(encoding="utf-8")), FunctionSpec)
    except PlatError as error:
        raise PlatError("invalid", f"{path}: {error.detail}") from error
    except FileNotFoundError as error:
        detail = f'{path} does not exist. Make a function with "plat init NAME", or name its folder.'
        raise PlatError("invalid", detail) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PlatError("invalid", f"{path}: {error}") from error


def entries(folder: Path) -> list[Entry]:
    """What belongs to the function's code, by name. Raises PlatError `invalid` for what cannot be packed."""
    ignored = _ignored(folder)
    return sorted(_walk(folder, folder, ignored), key=lambda entry: entry.name)


def tree(folder: Path, prefix: str) -> Iterator[Entry]:
    """Every file below a folder that was made for packing, under `prefix/`."""
    for entry in _walk(folder, folder, GitIgnoreSpec.from_lines(["__pycache__/"])):
        yield Entry(name=f"{prefix}/{entry.name}", path=entry.path)


def _ignored(folder: Path) -> GitIgnoreSpec:
    path = folder / IGNORE_FILE
    try:
        own = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return GitIgnoreSpec.from_lines([*ALWAYS_IGNORED, *own])
    except (OSError, ValueError) as error:
        raise PlatError("invalid", f"{path}: {error}") from error


def _walk(root: Path, folder: Path, ignored: GitIgnoreSpec) -> Iterator[Entry]:
    try:
        children = sorted(folder.iterdir())
    except OSError as error:
        raise PlatError("invalid", f"{folder} cannot be read: {error.strerror}.") from error
    for path in children:
        name = path.relative_to(root).as_posix()
        mode = path.lstat().st_mode
        if ignored.match_file(name + "/" if stat.S_ISDIR(mode) else name):
            continue
        if stat.S_ISDIR(mode):
            yield from _walk(root, path, ignored)
        else:
            _check(root, path, name, mode)
            yield Entry(name=name, path=path)


def _check(root: Path, path: Path, name: str, mode: int) -> None:
    if not name.isprintable():
        raise PlatError(
            "invalid", f"{name!r} is no name for an archive: rename it, or add it to {IGNORE_FILE}."
        )
    if stat.S_ISLNK(mode):
        target = path.readlink()
        if target.is_absolute() or not _is_inside(root, path.parent / target):
            raise PlatError(
                "invalid",
                f"{name} links to {target}, out of {root}: an archive can only hold links that stay inside.",
            )
    elif not stat.S_ISREG(mode):
        raise PlatError("invalid", f"{name} is no file, folder or link: name it in {IGNORE_FILE}.")


def _is_inside(root: Path, path: Path) -> bool:
    """By its text: where the link leads must not depend on other links."""
    inside = os.path.relpath(path, root)
    return inside != ".." and not inside.startswith("../")
