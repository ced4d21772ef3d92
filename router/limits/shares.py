"""A router's part of one limit: what it admits by itself while no store says who has which tokens.

Decides only. All parts together are the limit. `buckets` says when a part is used, and tells the store.
"""

from typing import Final

from plat.leasing import LEASE_TTL_S, RESERVE, local_share

AWAY_RETRY_S: Final = 1.0
"""What a call is told to wait when nobody knows."""

_NEVER: Final = -1.0
_ROUNDING: Final = 1e-6


class Share:
    """Fills from nothing since it began: what was left before is with the leases.

    While there may be leases it holds a part of what is never leased, then of the whole burst: leases and
    parts together are never more than the burst. It fills at the same part of the rate all the time, for
    routers begin at different times, and together they must never fill faster than the limit.
    """

    __slots__ = ("_at", "_began_at", "_offset", "_tokens")

    def __init__(self, offset: int) -> None:
        self._offset = offset
        """Of the key: turns round who gets one more than others."""
        self._began_at = _NEVER
        self._at = 0.0
        self._tokens = 0.0

    def begin(self, now: float) -> None:
        """Unless it has."""
        if self._began_at == _NEVER:
            self._began_at = self._at = now
            self._tokens = 0.0

    def end(self) -> None:
        self._began_at = _NEVER

    def part_of(self, amount: int, part: int, parts: int) -> int:
        """What router `part` of `parts` may have of `amount`."""
        return local_share(amount, part, parts, self._offset)

    def take(self, rate: float, burst: int, part: int, parts: int, now: float, waiting: int = 0) -> float:
        """0: admitted. More: not now, with the seconds until it is worth another try.

        `waiting`: so many others wait for the next tokens; what is here already is anybody's.
        """
        leases_end = self._began_at + LEASE_TTL_S
        whole, never_leased = self.part_of(burst, part, parts), self.part_of(burst // RESERVE, part, parts)
        mine = rate * whole / burst
        if self._at < leases_end:
            self._fill(mine, never_leased, min(now, leases_end))
        if now >= leases_end:
            self._fill(mine, whole, now)
        if self._tokens >= 1 - _ROUNDING:
            self._tokens -= 1
            return 0.0
        if now < leases_end and not never_leased:
            return leases_end - now
        return (1 + waiting - self._tokens) / mine if mine else AWAY_RETRY_S

    def put_back(self) -> None:
        """The token just taken is not needed."""
        self._tokens += 1

    def _fill(self, rate: float, most: int, until: float) -> None:
        self._tokens = min(float(most), self._tokens + max(0.0, until - self._at) * rate)
        self._at = max(self._at, until)
