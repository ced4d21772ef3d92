"""Routers' limiters and a store between them, without sockets: every request is answered at once."""

from plat.feed import Route, RouteVersion
from plat.leasing import Ask, Buckets
from router.limits import LeasedBucket, Limiter

START = 1_000_000.0
"""A monotonic clock that has run for days: where floats are coarse."""


def a_route(
    rate: float | None = None,
    burst: int | None = None,
    *,
    name: str = "f",
    token_rate: float | None = None,
    token_burst: int | None = None,
    token_max_in_flight: int | None = None,
    limit_fail: str = "open",
) -> Route:
    return Route(
        name,
        1,
        False,
        "token",
        60.0,
        rate,
        burst,
        (RouteVersion("v1", 1, 1, 30.0),),
        token_rate=token_rate,
        token_burst=token_burst,
        token_max_in_flight=token_max_in_flight,
        limit_fail=limit_fail,
    )


class Routers:
    """`exchange` is what `router.leases` does, in no time."""

    def __init__(self, count: int = 1, since: float = float("-inf")) -> None:
        self.store = Buckets(since)
        self.limiters = [Limiter(part, count) for part in range(count)]
        self.numbers = [0] * count
        self.away = False
        self.asks: list[Ask] = []

    def exchange(self, now: float) -> None:
        """What is due of every router."""
        for part, limiter in enumerate(self.limiters):
            due = [bucket for bucket in limiter.wanting.values() if bucket.asked_at <= now]
            for bucket in due:
                del limiter.wanting[bucket.key]
            if due or limiter.away_since >= 0:
                self._exchange(part, limiter, due, now)

    def _exchange(self, part: int, limiter: Limiter, due: list[LeasedBucket], now: float) -> None:
        asks = [bucket.ask(now, 0.0) for bucket in due]
        self.asks += asks
        self.numbers[part] += 1
        if self.away:
            for bucket in due:
                bucket.unheard()
            limiter.went_away(now)
            return
        answers = self.store.lease(f"r{part}", self.numbers[part], asks, now)
        limiter.came_back(now)
        for bucket, answer in zip(due, answers, strict=True):
            bucket.settle(answer, now, now)
        for bucket in due:
            bucket.resume_waiters(now)
