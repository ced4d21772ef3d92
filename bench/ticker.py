"""A periodic timer of the kernel as a file descriptor (timerfd_create(2)).

Event loops count in milliseconds; calls start every 20 to 500 us. The standard library has it from 3.13 on.
"""

import ctypes
import os
from typing import ClassVar

_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE = 1
_libc = ctypes.CDLL(None, use_errno=True)


class _Time(ctypes.Structure):
    _fields_: ClassVar = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Timer(ctypes.Structure):
    _fields_: ClassVar = [("interval", _Time), ("first", _Time)]


class Ticker:
    """Readable each `interval_s`, from the moment `first` (time.monotonic) on. Close it."""

    def __init__(self, first: float, interval_s: float) -> None:
        self.descriptor = _libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        timer = _Timer(_time(interval_s), _time(first))
        if _libc.timerfd_settime(self.descriptor, _ABSOLUTE, ctypes.byref(timer), None) < 0:
            self.close()
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def clear(self) -> None:
        """Not readable until the next tick."""
        try:
            os.read(self.descriptor, 8)
        except BlockingIOError:
            return

    def close(self) -> None:
        os.close(self.descriptor)


def _time(seconds: float) -> _Time:
    nanoseconds = max(1, round(seconds * 1e9))
    return _Time(nanoseconds // 1_000_000_000, nanoseconds % 1_000_000_000)
