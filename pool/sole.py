"""One pool for a data folder: two would grant the same slots and stop each other's instances."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plat.errors import PlatError


@contextmanager
def sole_pool(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; it ends with the process, however that ends. Raises PlatError, OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "pool.lock").open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            pid = file.read(20).decode("ascii", "replace") or "?"
            detail = f"Another pool (pid {pid}) uses {folder}: stop it, or choose another with PLAT_DATA."
            raise PlatError("internal", detail) from error
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        yield
