"""What a call is told of a limit, in `RateLimit` and `RateLimit-Policy`.

Source: draft-ietf-httpapi-ratelimit-headers-10. `q` calls in `w` seconds, `burst` of them at once; `r` are
left, and more come in `t` seconds. All of it is remembered: most is said when there is least time for it.
"""

from abc import ABC, abstractmethod
from math import ceil, floor
from typing import Final

from plat.errors import PlatError

REMEMBERED: Final = 1024
"""Lines and refusals of one limit that are kept: to look one up takes a third of the time of writing it."""

EXACT: Final = 128
"""More calls left than so many are told in steps, rounded down: at most 512 of them up to the burst."""

UNKNOWN_S: Final = 1.0
"""What a call is told to wait where no store has said a word in time."""


class LimitAnswers(ABC):
    """Of one limit. What follows says nothing to those whom it admits."""

    def __init__(self) -> None:
        self._refusals: dict[int, PlatError] = {}

    def lines(self, left: int) -> tuple[int, bytes]:
        """For a call that is admitted: lines of a head, each begun by CRLF, and down to what they hold."""
        return 0, b""

    def refusal(self, wait_s: float) -> PlatError:
        """For a call that may try again in `wait_s` seconds; below 0: nobody knows when. It is shared."""
        seconds = ceil(wait_s if wait_s > 0 else UNKNOWN_S)
        known = self._refusals.get(seconds)
        if known is None:
            known = self._refusal(seconds)
            if len(self._refusals) < REMEMBERED:
                self._refusals[seconds] = known
        return known

    @abstractmethod
    def _refusal(self, seconds: int) -> PlatError: ...


class RateAnswers(LimitAnswers):
    """Of a limit of calls a second: of a function, or of each token that calls it."""

    def __init__(self, function: str, rate: float, burst: int, *, of_token: bool) -> None:
        super().__init__()
        name = "token" if of_token else "function"
        whose = " of one token" if of_token else ""
        self._name = name
        self._policy = policy(name, rate, burst)
        self._detail = f'"{function}" takes {rate:g} calls a second{whose}; that is reached.'
        self._start = f'\r\nRateLimit-Policy: {self._policy}\r\nRateLimit: "{name}";r='.encode()
        self._steps = -1 << max(0, (burst - 1).bit_length() - 9)
        self._lines = {0: self._start + b"0;t=%d" % ceil(1 / rate)}

    def lines(self, left: int) -> tuple[int, bytes]:
        left = left & self._steps if left > EXACT else max(0, left)
        known = self._lines.get(left)
        if known is None:
            known = self._start + b"%d" % left
            if len(self._lines) < REMEMBERED:
                self._lines[left] = known
        return left, known

    def _refusal(self, seconds: int) -> PlatError:
        headers = (("RateLimit-Policy", self._policy), ("RateLimit", f'"{self._name}";r=0;t={seconds}'))
        return PlatError("rate_limited", self._detail, retry_after_s=seconds, headers=headers)


class InFlightAnswers(LimitAnswers):
    """Of a limit of one token's calls at a time."""

    def __init__(self, function: str, most: int) -> None:
        super().__init__()
        self._function = function
        self._most = most

    def _refusal(self, seconds: int) -> PlatError:
        return PlatError(
            "too_many_in_flight",
            f'"{self._function}" takes {self._most} calls of one token at a time; so many are in flight.',
            retry_after_s=seconds,
            headers=(
                ("RateLimit-Policy", f'"in-flight";q={self._most};qu="concurrent-requests"'),
                ("RateLimit", '"in-flight";r=0'),
            ),
        )


def policy(name: str, rate: float, burst: int) -> str:
    """Structured Fields have whole numbers only: less than one a second is one in several seconds."""
    quota, window_s = (floor(rate), 1) if rate >= 1 else (1, ceil(1 / rate))
    return f'"{name}";q={quota};w={window_s};burst={burst}'


def line_pairs(lines: bytes) -> list[tuple[bytes, bytes]]:
    """Lines of a head as names and values."""
    pairs = [line.partition(b": ") for line in lines.split(b"\r\n") if line]
    return [(name, value) for name, _, value in pairs]
