"""Token buckets: `rate` calls a second, `burst` at once. Decides only; time passed in."""

from collections.abc import Callable

_ROUNDING = 1e-4
"""Of a token. Clocks that have run for days are so coarse that a token due now may lack this much."""


class TokenBucket:
    """Full at first. One call takes one token; a refused call takes none."""

    __slots__ = ("_burst", "_filled_at", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._filled_at = float("-inf")

    def take(self, now: float) -> float:
        """0 if the call is admitted, else the seconds until one will be."""
        if now > self._filled_at:
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
            self._filled_at = now
        if self._tokens < 1 - _ROUNDING:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0


class Limiter:
    """A bucket per function that has a limit. Each router admits an equal share of it."""

    def __init__(self, routers: int) -> None:
        self._routers = routers
        self._buckets: dict[str, tuple[float, int | None, TokenBucket]] = {}

    def take(self, name: str, rate: float, burst: int | None, now: float) -> float:
        """0 if a call of the function is admitted, else the seconds until one will be."""
        known = self._buckets.get(name)
        if known is None or known[0] != rate or known[1] != burst:
            known = self._buckets[name] = (rate, burst, self._share(rate, burst or max(1, round(rate))))
        return known[2].take(now)

    def keep(self, exists: Callable[[str], bool]) -> None:
        """Forget the buckets of functions that are gone."""
        for name in [name for name in self._buckets if not exists(name)]:
            del self._buckets[name]

    def _share(self, rate: float, burst: int) -> TokenBucket:
        return TokenBucket(rate / self._routers, max(1, burst // self._routers))
