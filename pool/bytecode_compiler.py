"""A program: compile the Python files of a folder into another folder. It runs apart from the pool.

    python -I bytecode_compiler.py <folder> <target> <user>      both relative to the working directory

The source is a stranger's: it is compiled, never run, by a process that may not write elsewhere and has
little memory and time. Only the standard library is imported.
"""

import os
import py_compile
import resource
import sys
from pathlib import Path

MEMORY_BYTES = 1024**3
PROCESSOR_S = 120
FILE_BYTES = 64 * 1024 * 1024
NICENESS = 19

UNREADABLE = (py_compile.PyCompileError, ValueError, RecursionError, MemoryError, UnicodeDecodeError, OSError)
"""A file that cannot be compiled is the function's to stumble over, or nobody's: test data, Python 2."""


def compile_tree(source: Path, target: Path) -> None:
    """`source/a/b.py` becomes `target/a/__pycache__/b.<tag>.pyc`, which names no date of its source."""
    for folder, _, names in os.walk(source):
        for name in names:
            if name.endswith(".py"):
                _compile(Path(folder, name), target / Path(folder).relative_to(source) / "__pycache__")


def _compile(file: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    compiled = folder / f"{file.stem}.{sys.implementation.cache_tag}.pyc"
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    try:
        py_compile.compile(str(file), str(compiled), doraise=True, invalidation_mode=mode)
    except UNREADABLE:
        compiled.unlink(missing_ok=True)


def _lose_rights(user: int) -> None:
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_S, PROCESSOR_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)


if __name__ == "__main__":
    _lose_rights(int(sys.argv[3]))
    compile_tree(Path(sys.argv[1]), Path(sys.argv[2]))
