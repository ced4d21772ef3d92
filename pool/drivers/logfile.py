"""A file that an instance appends its output to, read line by line while it grows.

How far it was read is kept in a file beside it, so that a restarted pool goes on where it stopped.
"""

import os
from pathlib import Path

from pool.drivers import lines

READ_BYTES = 256 * 1024
"""At most this much of a file is read at a time, so that one loud instance does not hold up the loop."""

KEPT_BYTES = 10 * 1024 * 1024
"""A file that was read to its end and is larger than this is emptied; its writer appends and goes on."""

BEHIND_BYTES = 2 * KEPT_BYTES
"""An instance that writes faster than it is read loses output rather than filling the disk."""


class LogFile:
    """Holds one file descriptor; `close` it."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._mark = path.with_suffix(".read")
        self._offset = int(self._mark.read_text() or "0") if self._mark.exists() else 0
        self._looked_at = self._offset

    def close(self) -> None:
        os.close(self._file)

    def read(self, *, final: bool = False) -> list[str] | None:
        """Some of the lines that came since; None: nothing is new.

        `final`: the writer has ended, so a last line without a line break is a line too.
        """
        size = os.fstat(self._file).st_size
        if size < self._offset:  # somebody emptied it
            self._move(0)
        if size == self._offset or (size == self._looked_at and not final):
            return None
        data = os.pread(self._file, READ_BYTES, self._offset)
        at_end = self._offset + len(data) == size
        messages, used = lines.cut(data, final=final and at_end)
        self._move(self._offset + used)
        self._looked_at = size if at_end else self._offset
        return messages if final else messages + self._shorten(size)

    def _shorten(self, size: int) -> list[str]:
        unread = size - self._offset
        if unread == 0 and size > KEPT_BYTES:
            self._empty()
        elif unread > BEHIND_BYTES:
            self._empty()
            return [f"[{unread} bytes of output were lost: they came faster than they could be kept]"]
        return []

    def _empty(self) -> None:
        os.ftruncate(self._file, 0)
        self._move(0)

    def _move(self, offset: int) -> None:
        """The mark has a fixed length, so that a kill in the middle of writing it cannot make it another."""
        self._offset = self._looked_at = offset
        mark = os.open(self._mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(mark, b"%020d" % offset, 0)
        finally:
            os.close(mark)
