"""Python files of unpacked code, compiled once: instances have it read-only and would do it at every start.

Also a handler of five lines: importing it from its bytecode takes 0.4 ms instead of 0.8.

Only instances whose Python is of the pool's own minor version use it; to others it is one more folder.
"""

import asyncio
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from plat.artifacts import remove_tree
from plat.logs import get_logger
from plat.tasks import subtask
from pool import bytecode_compiler

log = get_logger(__name__)

TIME_LIMIT_S = 180
NOBODY = 65534
CACHE = "__pycache__"


async def add_bytecode(folder: Path) -> None:
    """Each folder's `__pycache__` appears whole or not at all. Cancelled or failed, some have none.

    Raises OSError.
    """
    if not await asyncio.to_thread(_has_python, folder):
        return
    scratch = _scratch(folder)  # not in a thread, which could make it after we were cancelled
    try:
        await _compile(folder, scratch)
        moving = subtask(asyncio.to_thread(_move, scratch, folder), f"move bytecode of {folder.name[:12]}")
        try:
            await asyncio.shield(moving)
        finally:
            await asyncio.wait([moving])  # a thread goes on when we are cancelled
    finally:
        await asyncio.to_thread(remove_tree, scratch)


def _has_python(folder: Path) -> bool:
    return any(folder.rglob("*.py"))


def _scratch(folder: Path) -> Path:
    """Beside the folder, with a name that the cache takes for its own leftovers."""
    path = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    if os.getuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    return path


async def _compile(folder: Path, scratch: Path) -> None:
    """Relative names, since the folders above may be closed to the compiler's user."""
    command = [sys.executable, "-I", bytecode_compiler.__file__, folder.name, scratch.name, str(NOBODY)]
    launch = asyncio.create_subprocess_exec(
        *command, cwd=folder.parent, env={}, stdin=asyncio.subprocess.DEVNULL
    )
    starting = subtask(launch, f"compile {folder.name[:12]}")
    try:
        process = await asyncio.shield(starting)
        async with asyncio.timeout(TIME_LIMIT_S):
            status = await process.wait()
    except TimeoutError:
        status = -1
    finally:
        process = await starting  # one that is being started when we are cancelled would go on
        if process.returncode is None:
            process.kill()
            await process.wait()
    if status != 0 and folder.exists():
        log.warning("code could not be compiled ahead", code=folder.name, status=status)


def _move(scratch: Path, folder: Path) -> None:
    """What a process that read a stranger's code has made is not trusted: only plain files are taken."""
    found = list(scratch.rglob(CACHE))
    for path in found:
        target = folder / path.parent.relative_to(scratch) / CACHE
        if target.exists() or not target.parent.is_dir():
            continue
        for file in path.iterdir():
            _make_ours(file)
        path.chmod(0o755)
        target.parent.chmod(0o755)
        path.rename(target)
        _own(target, 0o555)
        target.parent.chmod(0o555)
    if found:
        with suppress(FileNotFoundError):
            os.utime(folder)  # says that it holds more than before


def _make_ours(file: Path) -> None:
    if file.is_symlink() or not file.is_file() or file.suffix != ".pyc":
        remove_tree(file) if file.is_dir() and not file.is_symlink() else file.unlink()
    else:
        _own(file, 0o444)


def _own(path: Path, mode: int) -> None:
    os.chown(path, os.getuid(), os.getgid())
    path.chmod(mode)
