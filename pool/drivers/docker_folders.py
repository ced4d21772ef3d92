"""The folders of an instance on the machine: the one of its socket, and of a warm one that of its code.

Files only: knows no engine. Both are gone when the instance is.
"""

import os
from collections.abc import Collection
from pathlib import Path

from plat.artifacts import remove_tree
from plat.settings import Settings
from pool.drivers import folder
from pool.drivers.docker_spec import SOCKET, Place

SEALED_MODE = 0o711
"""The instance, and whoever may enter the folder above, can reach the socket; only root can make files."""


class Folders:
    """All of one platform's. The code is on the file system of the code cache, so that it can be linked."""

    def __init__(self, settings: Settings, place: Place) -> None:
        self.runs = settings.run_dir / "instances"
        self.codes = settings.data_dir / "warm"
        self._place = place
        for path in (self.runs, self.codes):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def code(self, instance: str) -> Path:
        return self.codes / instance

    def socket(self, instance: str) -> Path:
        return self.runs / instance / SOCKET

    def make_run(self, instance: str) -> Path:
        """Raises OSError."""
        path = self.runs / instance
        path.mkdir()
        path.chmod(SEALED_MODE if self._place.seals else 0o700)
        if self._place.seals:
            os.chown(path, self._place.user, self._place.user)
        return path

    def make_code(self, instance: str) -> Path:
        """Empty; the container has it read-only. Raises OSError."""
        path = self.code(instance)
        path.mkdir()
        path.chmod(0o755)
        return path

    def has_code(self, instance: str) -> bool:
        """Whether a warm one was given a function's, or a part of it."""
        path = self.code(instance)
        return path.exists() and any(path.iterdir())

    def seal(self, instance: str) -> bool:
        """Take the run folder from the instance once its socket is there: it could fill the disk with it.

        Whether that is done. The owner changes before the mode: it could undo the other order.
        Where the instance's user is the platform's own there is nothing to take. Raises OSError.
        """
        if not self._place.seals:
            return True
        # Strings: a call waits, and three Path objects take as long as the system calls.
        path = f"{self.runs}/{instance}"
        if not os.path.exists(f"{path}/{SOCKET}"):  # noqa: PTH110
            return False
        os.chown(path, 0, 0)
        os.chmod(path, SEALED_MODE)  # noqa: PTH101
        return True

    def remove(self, instance: str) -> None:
        for path in (self.runs / instance, self.code(instance)):
            remove_tree(path)

    def found(self) -> list[Path]:
        """All there are, whoever's they are."""
        return [*self.runs.iterdir(), *self.codes.iterdir()]

    def clear(self, paths: Collection[Path]) -> None:
        """Remove those of `found` that are not the process driver's."""
        for path in paths:
            if not (path / folder.RECORD).exists():
                remove_tree(path)
