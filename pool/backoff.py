"""When a version whose instances do not start may be tried again. Decides only; time passed in."""

from typing import NamedTuple

from plat.errors import PlatError

FIRST_S = 0.5
LONGEST_S = 30.0
_DOUBLINGS = 6
"""These reach the longest wait; a version may fail for weeks, which is more than a float can double."""


class Failure(NamedTuple):
    attempts: int
    retry_at: float
    error: PlatError


class Backoff:
    """Doubles from half a second to half a minute; a success forgets everything."""

    def __init__(self) -> None:
        self._failures: dict[str, Failure] = {}

    def failed(self, version: str, now: float, error: PlatError) -> None:
        attempts = self.failure_count(version) + 1
        wait_s = min(LONGEST_S, FIRST_S * 2.0 ** min(attempts - 1, _DOUBLINGS))
        self._failures[version] = Failure(attempts, now + wait_s, error)

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
        failure = self._failures.get(version)
        return failure.retry_at if failure else float("-inf")

    def blocked(self, version: str, now: float) -> PlatError | None:
        """The last error, while it is too early for another attempt."""
        failure = self._failures.get(version)
        return failure.error if failure and now < failure.retry_at else None
