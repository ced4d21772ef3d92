"""Routers, calls, a store, and requests under way between them, in small steps of time: any story at all.

Every admitted call is written down with how it was admitted, so that what is promised can be said exactly.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from hypothesis import strategies as st

from plat.feed import Route
from plat.leasing import Answer, Ask, Buckets
from router.limits.buckets import WAIT, LeasedBucket
from router.limits.limiter import Limiter
from tests.unit.router.limits.lease_rig import START, Resumes, a_route

STEP_S = 1 / 32
RETRY_S = 0.5
TIMEOUT_S = 1.0
WAITS_LIMIT = 4


class Store(Protocol):
    def lease(self, router: str, number: int, asks: list[Ask], now: float) -> list[Answer]: ...


class Chapter(NamedTuple):
    """`what` happens to a router or the store; then `steps` pass with calls at the `busy` routers."""

    what: str
    router: int
    steps: int
    busy: int
    """A bit for each router."""
    pace: float
    """Calls in one step at each."""
    rest: bool = False
    """Whether the others have a call now and then, so that they are not idle."""


class Admitted(NamedTuple):
    at: float
    router: int
    leased: bool
    """By a token that the store gave; else by the router's part."""
    cut: bool
    """By a router that the store, which lives, cannot hear or has not heard since it could not."""


class Call:
    def __init__(self, router: "Router", world: "World") -> None:
        self._router, self._world = router, world
        self._waits = 0

    def resume(self, now: float) -> None:
        if self._router.is_dead:
            return
        bucket = self._router.limiter.of_function(self._world.route, now)
        tokens = bucket.tokens
        told = bucket.take(now)
        if told == 0:
            leased = bucket.tokens < tokens
            if not leased:
                self._router.parted_at = now
            self._world.admitted.append(Admitted(now, self._router.part, leased, self._router.was_cut))
        elif told == WAIT and self._waits < WAITS_LIMIT:
            self._waits += 1
            bucket.waiters.append(self)


class Request(NamedTuple):
    number: int
    buckets: list[LeasedBucket]
    asks: list[Ask]
    sent_at: float
    arrives_at: float


class Router:
    """A limiter, and one request under way at most: what `router.limits.leases` does."""

    def __init__(self, name: str, part: int, parts: int) -> None:
        self.name, self.part = name, part
        self.limiter = Limiter(part, parts)
        self.resume = Resumes(self.limiter)
        self.delay_s = 0.0
        self.is_cut = self.was_cut = self.is_dead = False
        self.parted_at = 0.0
        """When it last admitted a call by its part. What is sent later tells the store of it."""
        self._number = 0
        self._request: Request | None = None
        self._answers: list[Answer] | None = None
        self._answered_at = 0.0
        self._next_at = 0.0

    def step(self, store: Store | None, now: float) -> None:
        if self._request is None and now >= self._next_at:
            self._send(now)
        request = self._request
        if request is None:
            return
        if store is None and self._answers is None:
            self._failed(request, now)
        elif self._answers is not None and now >= self._answered_at and not self.is_cut:
            self._settle(request, self._answers, now)
        elif now >= request.sent_at + TIMEOUT_S:
            self._failed(request, now)
        elif store is not None and self._answers is None and now >= request.arrives_at and not self.is_cut:
            self._answers = store.lease(self.name, request.number, request.asks, now)
            self._answered_at = now + self.delay_s
            self.step(store, now)

    def give_back(self, store: Store | None, now: float) -> None:
        """Its last word."""
        buckets = [bucket for bucket in self.limiter.buckets() if bucket.tokens]
        asks = [bucket.ask(now, 0.0, give_all_back=True) for bucket in buckets]
        if store is not None and self.limiter.away_since < 0 and self._request is None:
            store.lease(self.name, self._number + 1, asks, now)

    def _send(self, now: float) -> None:
        wanting = self.limiter.wanting
        due = [bucket for bucket in wanting.values() if bucket.asked_at <= now]
        if not due and self.limiter.away_since < 0:
            return
        for bucket in due:
            del wanting[bucket.key]
        self._number += 1
        asks = [bucket.ask(now, 2 * self.delay_s) for bucket in due]
        self._request = Request(self._number, due, asks, now, now + self.delay_s)

    def _failed(self, request: Request, now: float) -> None:
        self._request, self._answers, self._next_at = None, None, now + RETRY_S
        for bucket in request.buckets:
            bucket.unheard()
        self.limiter.went_away(now)

    def _settle(self, request: Request, answers: list[Answer], now: float) -> None:
        self._request, self._answers = None, None
        self.limiter.came_back(now)
        for bucket, answer in zip(request.buckets, answers, strict=True):
            bucket.settle(answer, request.sent_at, now)
            if not answer.forgotten_s and not self.is_cut and request.sent_at >= self.parted_at:
                self.was_cut = False
        for bucket in request.buckets:
            bucket.resume_waiters(now)


class World:
    """Plays a story."""

    def __init__(self, count: int, rate: float, burst: int, limit_fail: str = "open") -> None:
        self.route: Route = a_route(rate, burst, limit_fail=limit_fail)
        self.rate, self.burst = rate, burst
        self.now = START
        self.admitted: list[Admitted] = []
        self._store: Buckets | None = Buckets(float("-inf"))
        self._routers = [Router(f"r{part}", part, count) for part in range(count)]
        self._born = 0

    def play(self, story: list[Chapter]) -> None:
        for chapter in story:
            self._happens(chapter.what, chapter.router % len(self._routers))
            for step in range(1, chapter.steps + 1):
                calls = int(step * chapter.pace) - int((step - 1) * chapter.pace)
                others = int(chapter.rest and step % RARE_STEPS == 0)
                self._step([calls if chapter.busy >> part & 1 else others for part in range(4)])

    def over(self, calls: Iterable[Admitted]) -> float:
        """By how many the limit was passed in the worst of all windows; below 0: in none.

        With i the first call of a window and j the last: j - i + 1 - rate * (t_j - t_i) - burst.
        """
        worst, least = float("-inf"), float("inf")
        for number, call in enumerate(calls):
            paid = number - self.rate * call.at
            least = min(least, paid)
            worst = max(worst, paid - least)
        return worst + 1 - self.burst

    def _happens(self, what: str, part: int) -> None:  # noqa: C901 - a line for each
        router = self._routers[part]
        match what:
            case "calls":
                pass
            case "store dies":
                self._store = None
            case "store starts":
                self._store = self._store or Buckets(self.now)
            case "store forgets":
                self._store = Buckets(self.now) if self._store else None
            case "router dies":
                self._replace(router)
            case "router stops":
                router.give_back(self._store, self.now)
                self._replace(router)
            case "slow":
                router.delay_s = 0.45
            case "fast":
                router.delay_s = 0.0
            case "cut":
                router.is_cut = router.was_cut = True
            case "joined":
                router.is_cut = False
            case _:
                raise AssertionError(what)

    def _replace(self, router: Router) -> None:
        self._born += 1
        router.is_dead = True
        successor = Router(f"r{router.part}.{self._born}", router.part, len(self._routers))
        successor.is_cut = successor.was_cut = router.is_cut
        self._routers[router.part] = successor

    def _step(self, calls: list[int]) -> None:
        for router in self._routers:
            for _ in range(calls[router.part]):
                Call(router, self).resume(self.now)
            router.step(self._store, self.now)
            router.limiter.tick(self.now, lambda _: True)
            router.resume(self.now)
        self.now += STEP_S


ALL = 0b1111
MODERATE, FLOOD = 1.0, 40.0
RARE_STEPS = 12
STEPS = [1, 2, 4, 8, 16, 20, 24, 28, 30, 33, 36, 45, 57, 59, 61, 64, 65, 70, 100]
"""A lease lives 64, is used 57.6, renewed at 28.8, given back after 32 without calls."""

OF_THE_STORE = ["store dies", "store dies", "store starts", "store forgets", "store forgets"]
OF_ROUTERS = ["calls", "calls", "router dies", "router stops"]
OF_LINKS = ["cut", "cut", "joined", "joined"]

paces = st.sampled_from([0.0, 0.0, MODERATE, FLOOD])
masks = st.sampled_from([ALL, ALL, 0b0001, 0b1110, 0b1101])


def stories(kinds: list[str]) -> st.SearchStrategy[list[Chapter]]:
    """Of anything, and of what is dangerous: many tokens lie about, something happens, then all is wanted."""
    happens = _chapters(st.sampled_from(kinds), STEPS, masks, paces)
    slow = _chapters(st.sampled_from(["slow", "fast"]), [1], st.just(ALL), st.just(MODERATE))
    lies_about = _chapters(st.just("calls"), [32, 64, 90], st.just(ALL), st.just(MODERATE))
    wanted = _chapters(st.just("calls"), [1, 2, 30, 70], masks, st.just(FLOOD))
    danger = st.tuples(slow, slow, lies_about, happens, wanted).map(list)
    dangers = st.tuples(slow, lies_about, happens, happens, wanted, wanted).map(list)
    parts = st.one_of(st.tuples(happens, happens).map(list), danger, danger, dangers)
    return st.lists(parts, min_size=1, max_size=4).map(lambda each: [one for part in each for one in part])


def _chapters(
    what: st.SearchStrategy[str],
    steps: list[int],
    busy: st.SearchStrategy[int],
    pace: st.SearchStrategy[float],
) -> st.SearchStrategy[Chapter]:
    return st.builds(Chapter, what, st.integers(0, 3), st.sampled_from(steps), busy, pace, st.booleans())
