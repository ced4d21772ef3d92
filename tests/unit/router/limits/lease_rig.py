"""Routers' limiters and a store between them, without sockets: every request is answered at once."""

from plat.feed import Route, RouteVersion
from plat.leasing import Ask, Buckets
from router.limits.buckets import WAIT, LeasedBucket
from router.limits.limiter import Limiter

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


class Resumes:
    """Of the first waiters of a limiter's buckets, each when its token is due."""

    def __init__(self, limiter: Limiter) -> None:
        self._due: list[tuple[float, LeasedBucket]] = []
        limiter.resume_first_at = lambda bucket, at: self._due.append((at, bucket))

    def __call__(self, now: float) -> None:
        due = [(at, bucket) for at, bucket in self._due if at <= now]
        self._due = [(at, bucket) for at, bucket in self._due if at > now]
        for _, bucket in due:
            bucket.resume_first(now)


class Routers:
    """`exchange` is what `router.limits.leases` does, in no time."""

    def __init__(self, count: int = 1, since: float = float("-inf")) -> None:
        self.store = Buckets(since)
        self.limiters = [Limiter(part, count) for part in range(count)]
        self._resumes = [Resumes(limiter) for limiter in self.limiters]
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
            self._resumes[part](now)

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


class Call:
    """Waits for its token as a call does, and is refused in the end."""

    def __init__(self, routers: Routers, route: Route, part: int = 0) -> None:
        self._limiter = routers.limiters[part]
        self._route = route
        self._waits = 0
        self.outcome: float | None = None
        """0: admitted; else the seconds it was told; None: it waits."""
        self.at = 0.0

    def begin(self, now: float) -> "Call":
        self.resume(now)
        return self

    def resume(self, now: float) -> None:
        bucket = self._limiter.of_function(self._route, now)
        told = bucket.take(now)
        if told == WAIT and self._waits < 4:
            self._waits += 1
            bucket.waiters.append(self)
        else:
            self.outcome, self.at = told, now


def admitted(calls: list[Call]) -> list[float]:
    return [call.at for call in calls if call.outcome == 0]


def flood(
    routers: Routers, route: Route, *, seconds: float, pace: float, step_s: float = 0.005
) -> list[Call]:
    """Calls at `pace` a second at every router in turn."""
    calls: list[Call] = []
    due = 0.0
    for step in range(int(seconds / step_s)):
        now = START + step * step_s
        while due <= step * step_s:
            part = len(calls) % len(routers.limiters)
            calls.append(Call(routers, route, part).begin(now))
            due += 1 / pace
        for limiter in routers.limiters:
            limiter.tick(now, lambda _: True)
        routers.exchange(now)
    return calls


def check(calls: list[Call], rate: float, burst: int) -> None:
    times = sorted(admitted(calls))
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= rate * (times[last] - begin) + burst + 1e-3


class Nobody:
    """Makes the router want one."""

    def resume(self, now: float) -> None:
        """It has gone."""


def take(routers: Routers, bucket: LeasedBucket, now: float) -> bool:
    """At once, or after a word with the store."""
    told = bucket.take(now)
    if told == WAIT:
        bucket.waiters.append(Nobody())
        routers.exchange(now)
        told = bucket.take(now)
    return told == 0
