"""When a version whose instances do not start, or do not stay, may have another. Decides only.

One that does not start fails those who wait for it. One whose instances die soon serves calls in between:
those wait a little longer, so that the machine is not busy with starts alone.
"""

from collections.abc import Container
from typing import NamedTuple

from plat.errors import PlatError

FIRST_S = 0.5
LONGEST_S = 30.0
_DOUBLINGS = 6
"""These reach the longest wait; a version may fail for weeks, which is more than a float can double."""


SHORT_LIFE_S = 5.0
DEATHS_FREE = 3
"""So many short lives in a row cost nothing: any instance may crash at times."""

LONGEST_AFTER_DEATH_S = 2.0


class Failure(NamedTuple):
    attempts: int
    retry_at: float
    error: PlatError


class Backoff:
    """Doubles from half a second to half a minute; a success forgets the failures."""

    def __init__(self) -> None:
        self._failures: dict[str, Failure] = {}
        self._deaths: dict[str, tuple[int, float]] = {}
        """Short lives in a row, and when the next instance may start."""

    def failed(self, version: str, now: float, error: PlatError) -> None:
        attempts = self.failure_count(version) + 1
        wait_s = min(LONGEST_S, FIRST_S * 2.0 ** min(attempts - 1, _DOUBLINGS))
        self._failures[version] = Failure(attempts, now + wait_s, error)

    def died(self, version: str, lived_s: float, now: float) -> None:
        """An instance that was ready ended by itself."""
        if lived_s >= SHORT_LIFE_S:
            self._deaths.pop(version, None)
            return
        deaths = self._deaths.get(version, (0, 0.0))[0] + 1
        over = min(deaths - DEATHS_FREE, _DOUBLINGS)
        wait_s = 0.0 if over <= 0 else min(LONGEST_AFTER_DEATH_S, 0.1 * 2.0**over)
        self._deaths[version] = (deaths, now + wait_s)

    def keep(self, versions: Container[str]) -> None:
        """Forget all others: they are gone."""
        self._failures = {each: failure for each, failure in self._failures.items() if each in versions}
        self._deaths = {each: death for each, death in self._deaths.items() if each in versions}

    def succeeded(self, version: str) -> None:
        self._failures.pop(version, None)

    def forget_code(self, code: str) -> None:
        """What made these fail is over (the engine is back)."""
        self._failures = {
            version: each for version, each in self._failures.items() if each.error.code != code
        }

    def failure_count(self, version: str) -> int:
        failure = self._failures.get(version)
        return failure.attempts if failure else 0

    def retry_at(self, version: str) -> float:
        failure, death = self._failures.get(version), self._deaths.get(version)
        return max(
            failure.retry_at if failure else float("-inf"),
            death[1] if death else float("-inf"),
        )

    def blocked(self, version: str, now: float) -> PlatError | None:
        """The last error, while it is too early for another attempt."""
        failure = self._failures.get(version)
        return failure.error if failure and now < failure.retry_at else None
