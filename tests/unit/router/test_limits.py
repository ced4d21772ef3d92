"""What a router says to a call: by tokens that it has leased, and never more than there are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plat.feed import Route
from plat.leasing import LEASE_TTL_S, RESERVE
from router.limits import HOLD_S, IDLE_S, WAIT, LeasedBucket, Limiter, PermitBucket, default_burst
from tests.unit.router.lease_rig import START, Routers, a_route
from tests.unit.router.lease_story import OF_LINKS, OF_ROUTERS, OF_THE_STORE, Chapter, World, stories


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


def test_a_first_call_waits_for_the_first_lease() -> None:
    routers = Routers()
    call = Call(routers, a_route(10, 10)).begin(START)
    assert call.outcome is None
    routers.exchange(START)
    assert call.outcome == 0


@pytest.mark.parametrize("routers", [1, 2, 4])
@pytest.mark.parametrize(("rate", "burst"), [(100.0, 100), (1000.0, 50), (20.0, 3), (5.0, 5), (2.0, 1)])
def test_ten_times_the_limit(routers: int, rate: float, burst: int) -> None:
    calls = flood(Routers(routers), a_route(rate, burst), seconds=3, pace=10 * rate)
    check(calls, rate, burst)
    assert len(admitted(calls)) >= 0.9 * (burst + rate * 2.5)


@pytest.mark.parametrize("routers", [1, 4])
@pytest.mark.parametrize(("rate", "burst"), [(100.0, 100), (1000.0, 200), (50.0, 20), (5.0, 5), (4.0, 2)])
def test_at_exactly_the_limit_nothing_is_refused(routers: int, rate: float, burst: int) -> None:
    calls = flood(Routers(routers), a_route(rate, burst), seconds=10, pace=rate)
    assert sum(call.outcome != 0 for call in calls) <= 0.01 * len(calls) + 1


counts = st.integers(1, 4)
rates = st.sampled_from([0.5, 3.0, 12.0, 12.0, 40.0])
bursts = st.sampled_from([1, 2, 3, 5, 8, 8, 12, 20, 40])
examples = settings(max_examples=150, deadline=None)


@examples
@given(counts, rates, bursts, stories([*OF_ROUTERS, *OF_THE_STORE]))
def test_never_more_than_the_limit_whoever_dies(
    count: int, rate: float, burst: int, story: list[Chapter]
) -> None:
    """The store too, with all that it knew; requests may be slow, but none is lost."""
    world = World(count, rate, burst)
    world.play(story)
    assert world.over(world.admitted) <= 1e-3


@examples
@given(counts, rates, bursts, stories([*OF_ROUTERS, *OF_THE_STORE, *OF_LINKS]))
def test_who_is_cut_off_from_a_store_that_lives_admits_its_part_besides(
    count: int, rate: float, burst: int, story: list[Chapter]
) -> None:
    """And not a call too many otherwise: of leases, of parts, of all but the parts of those who were cut."""
    world = World(count, rate, burst)
    world.play(story)
    assert world.over(each for each in world.admitted if each.leased) <= 1e-3
    assert world.over(each for each in world.admitted if not each.leased) <= 1e-3
    assert world.over(each for each in world.admitted if each.leased or not each.cut) <= 1e-3


@examples
@given(rates, bursts, stories(["calls", "slow", *OF_THE_STORE, *OF_LINKS]))
def test_a_router_that_is_alone_is_never_over_the_limit_as_long_as_it_lives(
    rate: float, burst: int, story: list[Chapter]
) -> None:
    """However often it loses the store: what it admits meanwhile is told."""
    world = World(1, rate, burst)
    world.play(story)
    assert world.over(world.admitted) <= 1e-3


@examples
@given(counts, rates, bursts, stories([*OF_ROUTERS, *OF_THE_STORE, *OF_LINKS]))
def test_closed_there_are_only_leases(count: int, rate: float, burst: int, story: list[Chapter]) -> None:
    world = World(count, rate, burst, limit_fail="closed")
    world.play(story)
    assert all(each.leased for each in world.admitted)
    assert world.over(world.admitted) <= 1e-3


def test_a_refusal_is_remembered_so_that_a_flood_asks_nothing() -> None:
    routers, route = Routers(), a_route(0.1, 1)
    first = Call(routers, route).begin(START)
    routers.exchange(START)
    assert first.outcome == 0
    second = Call(routers, route).begin(START + 0.01)
    routers.exchange(START + 0.01)
    routers.asks.clear()
    told = [Call(routers, route).begin(START + 0.02 + step / 1000).outcome for step in range(1000)]
    routers.exchange(START + 1.1)
    assert second.outcome == pytest.approx(10, abs=0.1)
    assert all(each is not None and 8 < each <= 10 for each in told)
    assert routers.asks == []


def test_a_small_limit_leaves_no_token_where_it_is_not_needed() -> None:
    routers, route = Routers(4), a_route(0.001, 4)
    for part in range(4):
        call = Call(routers, route, part).begin(START)
        routers.exchange(START)
        assert call.outcome == 0


def test_a_call_waits_for_a_token_that_is_due_soon() -> None:
    routers, route = Routers(), a_route(5, 1)
    Call(routers, route).begin(START)
    routers.exchange(START)
    routers.exchange(START + 0.005)
    call = Call(routers, route).begin(START + 0.16)
    assert call.outcome is None
    routers.exchange(START + 0.17)
    assert call.outcome is None
    routers.exchange(START + 0.201)
    assert [call.outcome, call.at] == [0, START + 0.201]


def test_what_lies_idle_goes_back() -> None:
    routers, route = Routers(2), a_route(100, 100)
    flood(routers, route, seconds=0.5, pace=100)
    later = START + 0.5 + IDLE_S
    for limiter in routers.limiters:
        limiter.tick(later, lambda _: True)
    routers.exchange(later)
    assert [limiter.of_function(route, later).tokens for limiter in routers.limiters] == [0, 0]
    assert sum(ask.returned for ask in routers.asks[-2:]) > 0


def test_a_lease_that_was_not_renewed_is_not_used() -> None:
    routers, route = Routers(), a_route(100, 100)
    flood(routers, route, seconds=0.5, pace=50)
    bucket = routers.limiters[0].of_function(route, START)
    assert bucket.tokens > 0
    assert bucket.take(bucket.until - 0.01) == 0
    assert bucket.take(bucket.until) != 0


def test_a_lease_in_use_is_renewed_before_it_ends() -> None:
    routers, route = Routers(), a_route(100, 100)
    for step in range(100):
        now = START + step * 0.05
        Call(routers, route).begin(now)
        routers.exchange(now)
        routers.limiters[0].tick(now, lambda _: True)
        routers.exchange(now)
        assert routers.limiters[0].of_function(route, now).until >= now + HOLD_S / 4


# --- the store is away


def leave(routers: Routers, route: Route) -> float:
    """All is spent, and then the store does not answer."""
    flood(routers, route, seconds=1, pace=1000)
    routers.away = True
    now = START + 1
    for limiter in routers.limiters:
        limiter.wants(limiter.of_function(route, now), now)
    routers.exchange(now)
    return now


@pytest.mark.parametrize("count", [1, 2, 4])
def test_open_each_router_admits_its_share(count: int) -> None:
    routers, route = Routers(count), a_route(40, 40)
    now = leave(routers, route)
    later = now + LEASE_TTL_S
    told = [
        limiter.of_function(route, now).take(later + step / 1000)
        for limiter in routers.limiters
        for step in range(1000)
    ]
    assert told.count(0) == pytest.approx(40 // RESERVE + 40, abs=2 * count)


def test_closed_nothing_is_admitted_but_what_was_leased() -> None:
    routers, route = Routers(), a_route(40, 40, limit_fail="closed")
    now = leave(routers, route)
    bucket = routers.limiters[0].of_function(route, now)
    left = bucket.tokens
    told = [bucket.take(now + step / 100) for step in range(1000)]
    assert told.count(0) == left
    assert told[-1] > 0


def test_what_was_admitted_meanwhile_is_told_when_the_store_is_back() -> None:
    routers, route = Routers(2), a_route(40, 40)
    now = leave(routers, route) + LEASE_TTL_S
    bucket = routers.limiters[0].of_function(route, now)
    assert bucket.take(now) == 0
    routers.away = False
    routers.exchange(now)
    routers.exchange(now)
    assert routers.asks[-1].unpaid
    assert bucket.tokens == 0
    assert bucket.take(now + LEASE_TTL_S / 2) == 0, "its share goes on until nobody has old leases"
    bucket.take(now + LEASE_TTL_S + 0.2)
    routers.exchange(now + LEASE_TTL_S + 0.2)
    assert not routers.asks[-1].unpaid
    assert bucket.tokens > 0


# --- permits


class Nobody:
    """Makes the router want one."""

    def resume(self, now: float) -> None:
        """It has gone."""


def permits(routers: Routers, route: Route, part: int, now: float = START) -> PermitBucket:
    return routers.limiters[part].permits(route, "somebody", now)


def take(routers: Routers, bucket: LeasedBucket, now: float) -> bool:
    """At once, or after a word with the store."""
    told = bucket.take(now)
    if told == WAIT:
        bucket.waiters.append(Nobody())
        routers.exchange(now)
        told = bucket.take(now)
    return told == 0


def test_permits_are_exact_over_all_routers_and_come_back() -> None:
    routers, route = Routers(2), a_route(token_max_in_flight=3)
    got = [take(routers, permits(routers, route, part), START) for part in (0, 1, 0, 1, 0)]
    assert sorted(got) == [False, False, True, True, True]
    permits(routers, route, 0).release(START + 1)
    routers.exchange(START + 1)
    assert take(routers, permits(routers, route, 1), START + 2.5)


def test_permits_are_kept_as_long_as_calls_have_them() -> None:
    routers, route = Routers(2), a_route(token_max_in_flight=1)
    mine, other = (permits(routers, route, part) for part in (0, 1))
    assert take(routers, mine, START)
    for step in range(200):
        now = START + step * 0.1
        routers.limiters[0].tick(now, lambda _: True)
        routers.exchange(now)
        assert not take(routers, other, now)


def test_callers_have_limits_of_their_own() -> None:
    routers, route = Routers(), a_route(token_rate=0.001, token_burst=1)
    for caller in ("a", "b"):
        bucket = routers.limiters[0].of_caller(route, caller, START)
        assert take(routers, bucket, START)
        assert not take(routers, bucket, START)


# --- the table


def test_a_changed_limit_takes_effect() -> None:
    limiter = Limiter()
    bucket = limiter.of_function(a_route(1, 2), START)
    again = limiter.of_function(a_route(3), START)
    assert again is bucket
    assert (bucket.rate, bucket.burst) == (3, 3)


def test_buckets_of_functions_that_are_gone_and_of_callers_long_silent_are_forgotten() -> None:
    limiter = Limiter()
    limiter.of_function(a_route(1), START)
    limiter.of_caller(a_route(token_rate=1), "a", START)
    limiter.permits(a_route(token_max_in_flight=1), "a", START)
    limiter.tick(START + 1, lambda _: True)
    assert len(limiter.buckets()) == 3
    limiter.tick(START + 100, lambda _: False)
    assert limiter.buckets() == []


def test_a_function_that_appeared_is_known_since_then() -> None:
    limiter = Limiter()
    limiter.appeared("f", START)
    young = limiter.of_function(a_route(1), START + 5).ask(START + 5, 0.0)
    old = limiter.of_function(a_route(1, name="g"), START + 5).ask(START + 5, 0.0)
    assert young.known_s == pytest.approx(5)
    assert old.known_s >= 1e8


@pytest.mark.parametrize(("rate", "burst"), [(0.1, 1), (1, 1), (10, 10), (2.6, 3)])
def test_the_default_burst_is_a_second_s_worth(rate: float, burst: int) -> None:
    assert default_burst(rate) == burst
