"""`RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10): what a call is told.

`q` calls in `w` seconds, `burst` of them at once; `r` are left, and more come in `t` seconds.
"""

from math import ceil, floor
from typing import Final

from plat.errors import retry_after_value

REMEMBERED: Final = 1024
"""Lines of one limit that are kept: to look one up takes a third of the time of writing it."""

Headers = tuple[tuple[str, str], ...]


def policy(name: str, rate: float, burst: int) -> str:
    """Structured Fields have whole numbers only: less than one a second is one in several seconds."""
    quota, window_s = (floor(rate), 1) if rate >= 1 else (1, ceil(1 / rate))
    return f'"{name}";q={quota};w={window_s};burst={burst}'


def rate_headers(name: str, rate: float, burst: int, wait_s: float) -> Headers:
    """Of a call that was refused."""
    return (
        ("RateLimit-Policy", policy(name, rate, burst)),
        ("RateLimit", f'"{name}";r=0;t={retry_after_value(wait_s)}'),
    )


def in_flight_headers(most: int) -> Headers:
    """Of a call that was refused because as many as there may be at a time are in flight."""
    return (
        ("RateLimit-Policy", f'"in-flight";q={most};qu="concurrent-requests"'),
        ("RateLimit", '"in-flight";r=0'),
    )


class LimitLines:
    """Of calls that were admitted: lines of a head, each begun by CRLF, as good as written beforehand."""

    __slots__ = ("_known", "_start")

    def __init__(self, name: str, rate: float, burst: int) -> None:
        start = f'\r\nRateLimit-Policy: {policy(name, rate, burst)}\r\nRateLimit: "{name}";r='
        self._start = start.encode()
        self._known = {0: f"{start}0;t={ceil(1 / rate)}".encode()}

    def of(self, left: int) -> bytes:
        known = self._known.get(left)
        if known is None:
            known = self._known[0] if left < 0 else self._start + b"%d" % left
            if len(self._known) < REMEMBERED:
                self._known[left] = known
        return known


def line_pairs(lines: bytes) -> list[tuple[bytes, bytes]]:
    """The same as names and values."""
    pairs = [line.partition(b": ") for line in lines.split(b"\r\n") if line]
    return [(name, value) for name, _, value in pairs]
