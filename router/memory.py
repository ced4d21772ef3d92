"""How the C library keeps this process's memory: buffers of large bodies come and go with every call.

glibc hands the end of its heap back as soon as 128 KB to 2 MB of it are free, and gets it back, page by
page, for the next call. Whether that happens is a matter of what lies there: an answer of 1 MB cost 0.5 ms
of CPU in one router and 2.3 in the next.
"""

import ctypes

KEPT_BYTES = 16 * 1024 * 1024
"""So much free memory stays at hand."""

MAPPED_BYTES = 4 * 1024 * 1024
"""Larger pieces come from the system and go back to it each for itself."""

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def keep_freed() -> bool:
    """Whether it was done: other C libraries than glibc have no `mallopt` (mallopt(3))."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    done = mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES), mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
    return done == (1, 1)
