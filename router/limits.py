"""Token buckets: `rate` calls a second, `burst` at once. Decides only; time passed in.

The bucket is the virtual-scheduling form of the generic cell rate algorithm (ITU-T I.371): one number.
"""

from collections.abc import Callable


class TokenBucket:
    """Full at first. One call takes one token; a refused call takes none."""

    __slots__ = ("_interval_s", "_next", "_tolerance_s")

    def __init__(self, rate: float, burst: int) -> None:
        self._interval_s = 1 / rate
        self._tolerance_s = (burst - 1) / rate
        self._next = float("-inf")

    def take(self, now: float) -> float:
        """0 if the call is admitted, else the seconds until one will be."""
        expected = max(self._next, now)
        wait_s = expected - self._tolerance_s - now
        if wait_s > 1e-9:
            return wait_s
        self._next = expected + self._interval_s
        return 0.0


class Limiter:
    """A bucket per function that has a limit. Each router admits an equal share of it."""

    def __init__(self, routers: int) -> None:
        self._routers = routers
        self._buckets: dict[str, tuple[float, int, TokenBucket]] = {}

    def admit(self, name: str, rate: float | None, burst: int | None, now: float) -> float:
        """0 if a call of the function is admitted, else the seconds until one will be."""
        if rate is None:
            self._buckets.pop(name, None)
            return 0.0
        return self._bucket(name, rate, burst or max(1, round(rate))).take(now)

    def keep(self, exists: Callable[[str], bool]) -> None:
        """Forget the buckets of functions that are gone."""
        for name in [name for name in self._buckets if not exists(name)]:
            del self._buckets[name]

    def _bucket(self, name: str, rate: float, burst: int) -> TokenBucket:
        known = self._buckets.get(name)
        if known is not None and known[:2] == (rate, burst):
            return known[2]
        bucket = TokenBucket(rate / self._routers, max(1, burst // self._routers))
        self._buckets[name] = (rate, burst, bucket)
        return bucket
