"""`RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10): what a refused call is told.

`q` calls in `w` seconds, `burst` of them at once; `r` are left, and more come in `t` seconds.
"""

from math import ceil, floor

from plat.errors import retry_after_value

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
