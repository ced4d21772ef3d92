"""The limits of all functions and callers at this router: which bucket is whose. Decides only."""

from collections.abc import Callable
from math import inf
from typing import Final

from plat.feed import Route
from plat.leasing import PERMITS
from router.limits.answers import InFlightAnswers, RateAnswers
from router.limits.buckets import KNOWN_LONG_S, LeasedBucket, LeaseRequests
from router.limits.permits import PermitBucket


class CallLimits:
    """The buckets that the calls of one caller to one function take from; None: no such limit.

    To be kept for the next call, as long as `route` is that function's: then it looks nothing up.
    """

    __slots__ = (
        "_function_told",
        "_quick_function",
        "_quick_token",
        "_token_told",
        "_told",
        "any",
        "function",
        "in_order",
        "permits",
        "route",
        "token",
    )

    def __init__(
        self,
        route: Route,
        function: LeasedBucket | None,
        token: LeasedBucket | None,
        permits: PermitBucket | None,
    ) -> None:
        self.route: Route | None = route
        """None: one of the buckets has been forgotten."""
        self.function = function
        self.token = token
        self.permits = permits
        self.in_order = tuple(each for each in (function, token, permits) if each is not None)
        self.any = bool(self.in_order)
        """Whether there is a limit at all."""
        self._quick_function = NO_LIMIT if function is None else function
        self._quick_token = NEVER_QUIET if permits is not None else NO_LIMIT if token is None else token
        self._told = self._function_told = self._token_told = b""

    def forget(self) -> None:
        self.route = None
        self._quick_token = NEVER_QUIET

    def take_quietly(self, now: float) -> bytes | None:
        """A token of each, and what the call is told. None: nothing was taken, for there is more to do.

        What each bucket's `take` and `told` would do, in less time: most calls with limits come this way.
        """
        function, token = self._quick_function, self._quick_token
        of_function, of_token = function.tokens, token.tokens
        if of_function <= function.quiet_above or of_token <= token.quiet_above:
            return None
        if now >= function.until or now >= token.until:
            return None
        function.tokens = of_function - 1
        token.tokens = of_token - 1
        function.spent_at = token.spent_at = now
        if function.told is not self._function_told or token.told is not self._token_told:
            self._function_told, self._token_told = function.told, token.told
            self._told = function.told + token.told
        return self._told


def _constant_bucket(tokens: int) -> LeasedBucket:
    """Of no store: it has so many tokens for ever."""
    bucket = LeasedBucket(LeaseRequests(0, 1), "", 0.0, 0.0)
    bucket.tokens = tokens
    bucket.until = inf
    bucket.quiet_above = 0
    return bucket


NO_LIMIT: Final = _constant_bucket(1 << 60)
NEVER_QUIET: Final = _constant_bucket(0)


class Limiter(LeaseRequests):
    """The buckets of all limits. `part` of `parts` is this router among all."""

    def __init__(self, part: int = 0, parts: int = 1) -> None:
        super().__init__(part, parts)
        self._functions: dict[str, LeasedBucket] = {}
        self._callers: dict[tuple[str, str], LeasedBucket] = {}
        self._permits: dict[tuple[str, str], PermitBucket] = {}
        self._kept: dict[tuple[str, str], CallLimits] = {}
        self._appeared: dict[str, float] = {}

    # --- the limits of a route

    def of_call(self, route: Route, caller: str, now: float) -> CallLimits:
        """All of them."""
        limits = self._kept.get((route.name, caller))
        if limits is None or limits.route is not route:
            limits = CallLimits(
                route,
                None if route.rate is None else self.of_function(route, now),
                None if route.token_rate is None else self.of_caller(route, caller, now),
                None if route.token_max_in_flight is None else self.permits(route, caller, now),
            )
            if limits.token is not None or limits.permits is not None:  # else there is nothing to forget
                self._kept[route.name, caller] = limits
        return limits

    def of_anybody(self, route: Route, now: float) -> CallLimits:
        """Of a caller without a name. `route.rate` is set."""
        return CallLimits(route, self.of_function(route, now), None, None)

    def of_function(self, route: Route, now: float) -> LeasedBucket:
        """`route.rate` is set."""
        bucket = self._functions.get(route.name)
        if bucket is None or bucket.source is not route:
            assert route.rate is not None
            if bucket is None:
                bucket = LeasedBucket(self, f"f:{route.name}", self._known_at(route.name), now)
                self._functions[route.name] = bucket
            burst = route.burst or default_burst(route.rate)
            answers = RateAnswers(route.name, route.rate, burst, of_token=False)
            bucket.bind(route, route.rate, burst, answers)
        return bucket

    def of_caller(self, route: Route, caller: str, now: float) -> LeasedBucket:
        """`route.token_rate` is set."""
        bucket = self._callers.get((route.name, caller))
        if bucket is None or bucket.source is not route:
            assert route.token_rate is not None
            if bucket is None:
                bucket = LeasedBucket(self, f"t:{route.name}:{caller}", self._known_at(route.name), now)
                self._callers[route.name, caller] = bucket
            burst = route.token_burst or default_burst(route.token_rate)
            answers = RateAnswers(route.name, route.token_rate, burst, of_token=True)
            bucket.bind(route, route.token_rate, burst, answers)
        return bucket

    def permits(self, route: Route, caller: str, now: float) -> PermitBucket:
        """`route.token_max_in_flight` is set."""
        bucket = self._permits.get((route.name, caller))
        if bucket is None or bucket.source is not route:
            assert route.token_max_in_flight is not None
            if bucket is None:
                bucket = PermitBucket(self, f"p:{route.name}:{caller}", self._known_at(route.name), now)
                self._permits[route.name, caller] = bucket
            most = route.token_max_in_flight
            bucket.bind(route, PERMITS, most, InFlightAnswers(route.name, most))
        return bucket

    def appeared(self, name: str, now: float) -> None:
        """A function that was not there before: no store can have forgotten leases of its limits."""
        self._appeared[name] = now

    def _known_at(self, name: str) -> float:
        return self._appeared.get(name, -KNOWN_LONG_S)

    # --- the store

    def buckets(self) -> list[LeasedBucket]:
        return [*self._functions.values(), *self._callers.values(), *self._permits.values()]

    def went_away(self, now: float) -> None:
        """The store does not answer: who waits for it gets what this router may give."""
        if self.away_since >= 0:
            return
        self.away_since = now
        for bucket in self.buckets():
            bucket.end_share(now)  # of the last time, where no call came since
            bucket.begin_share(now)
            bucket.resume_waiters(now)

    def came_back(self, now: float) -> None:
        if self.away_since < 0:
            return
        self.away_since = -1.0
        for bucket in self.buckets():
            if bucket.end_share(now):
                self.wants(bucket, now)

    # --- time

    def tick(self, now: float, exists: Callable[[str], bool]) -> None:
        """Renew what is about to end, return what is idle, forget what is gone."""
        for bucket in self.buckets():
            if bucket.needs_word(now):
                self.wants(bucket, now)
        for name in [name for name in self._functions if not exists(name)]:
            self._functions.pop(name).resume_waiters(now)  # to be refused; its tokens end with their lease
        for name in [name for name in self._appeared if not exists(name)]:
            del self._appeared[name]
        for key in [key for key, bucket in self._callers.items() if bucket.is_forgettable(now)]:
            del self._callers[key]
            self._outdate(key)
        for key in [key for key, bucket in self._permits.items() if bucket.is_forgettable(now)]:
            del self._permits[key]
            self._outdate(key)

    def _outdate(self, key: tuple[str, str]) -> None:
        limits = self._kept.pop(key, None)
        if limits is not None:
            limits.forget()


def default_burst(rate: float) -> int:
    """One second's worth."""
    return max(1, round(rate))
