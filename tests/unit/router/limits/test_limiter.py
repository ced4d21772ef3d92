"""The limits of a router: never more calls than there may be, whatever happens; and which bucket is whose."""

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from plat.leasing import Answer
from router.limits.limiter import CallLimits, Limiter, default_burst
from tests.unit.router.limits.lease_rig import START, Routers, a_route, take
from tests.unit.router.limits.lease_story import (
    ALL,
    FLOOD,
    MODERATE,
    OF_LINKS,
    OF_ROUTERS,
    OF_THE_STORE,
    Chapter,
    World,
    stories,
)

counts = st.sampled_from([1, 2, 2, 3, 4])
rates = st.sampled_from([0.5, 3.0, 12.0, 12.0, 12.0, 40.0])
bursts = st.sampled_from([1, 3, 5, 8, 8, 12, 12, 20, 40])
examples = settings(max_examples=150, deadline=None)

SPENT_WHILE_ASKED = [
    Chapter("slow", 0, 1, ALL, MODERATE),
    Chapter("slow", 1, 1, ALL, MODERATE),
    Chapter("calls", 0, 32, ALL, MODERATE),
    Chapter("calls", 0, 30, ALL, 0),
    Chapter("calls", 0, 2, ALL, FLOOD),
    Chapter("calls", 0, 28, ALL, MODERATE),
]
HELD_AND_THEN_SPENT = [
    Chapter("slow", 0, 1, ALL, MODERATE),
    Chapter("slow", 1, 1, ALL, MODERATE),
    Chapter("calls", 0, 32, ALL, MODERATE),
    Chapter("calls", 0, 36, ALL, 0),
    Chapter("calls", 0, 1, ALL, FLOOD),
    Chapter("calls", 0, 4, ALL, 0),
]
CUT_AND_HEARD_AGAIN = [
    Chapter("cut", 0, 1, ALL, 0),
    Chapter("fast", 0, 1, ALL, MODERATE),
    Chapter("calls", 0, 33, ALL, MODERATE),
    Chapter("joined", 0, 1, ALL, 0),
    Chapter("calls", 0, 31, ALL, FLOOD),
]
"""Stories that a wrong rule fails in, and that are rarely drawn."""


def a_second_loss(what: str) -> list[Chapter]:
    """The first router has no call after the first one, so that nothing tells it that its part has ended."""
    return [
        Chapter("calls", 0, 64, 0b11, MODERATE),
        Chapter("store dies", 0, 100, 0b11, 0.5),
        Chapter("store starts", 0, 30, 0b11, 0.5),
        Chapter("calls", 0, 200, 0b10, 0.1),
        Chapter("calls", 0, 4, 0b10, FLOOD),
        Chapter(what, 0, 1, 0b10, FLOOD),
        Chapter("calls", 0, 36, 0b11, FLOOD),
    ]


HEARD_TOO_EARLY = [
    Chapter("slow", 0, 1, ALL, MODERATE),
    Chapter("calls", 0, 32, ALL, MODERATE),
    Chapter("calls", 0, 24, ALL, 0),
    Chapter("calls", 0, 60, ALL, FLOOD),
    Chapter("fast", 0, 1, ALL, MODERATE),
    Chapter("calls", 0, 32, ALL, MODERATE),
    Chapter("cut", 0, 64, ALL, MODERATE),
    Chapter("joined", 0, 28, ALL, 0),
    Chapter("calls", 0, 1, ALL, FLOOD),
    Chapter("calls", 0, 70, 0b0001, FLOOD),
    Chapter("calls", 0, 1, ALL, 0),
    Chapter("store dies", 0, 1, ALL, 0),
    Chapter("calls", 0, 1, ALL, 0),
    Chapter("calls", 0, 1, ALL, FLOOD),
]
"""What the store hears first was sent before the call that it is to be told of."""


@examples
@given(counts, rates, bursts, stories([*OF_ROUTERS, *OF_THE_STORE]))
@example(2, 12.0, 8, SPENT_WHILE_ASKED)
@example(2, 12.0, 8, HELD_AND_THEN_SPENT)
@example(2, 12.0, 40, a_second_loss("store dies"))
@example(2, 12.0, 40, a_second_loss("store forgets"))
def test_never_more_than_the_limit_whoever_dies(
    count: int, rate: float, burst: int, story: list[Chapter]
) -> None:
    """The store too, with all that it knew; requests may be slow, but none is lost."""
    world = World(count, rate, burst)
    world.play(story)
    assert world.over(world.admitted) <= 1e-3


@examples
@given(counts, rates, bursts, stories([*OF_ROUTERS, *OF_THE_STORE, *OF_LINKS]))
@example(2, 3.0, 20, HEARD_TOO_EARLY)
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
@given(rates, bursts, stories(["calls", *OF_THE_STORE, *OF_LINKS]))
@example(3.0, 5, CUT_AND_HEARD_AGAIN)
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


# --- the table


def test_callers_have_limits_of_their_own() -> None:
    routers, route = Routers(), a_route(token_rate=0.001, token_burst=1)
    for caller in ("a", "b"):
        bucket = routers.limiters[0].of_caller(route, caller, START)
        assert take(routers, bucket, START)
        assert not take(routers, bucket, START)


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


def test_what_is_kept_of_a_caller_is_void_once_one_of_its_buckets_is_forgotten() -> None:
    """Else two buckets of one limit would each say how many tokens they hold."""
    limiter, route = Limiter(), a_route(1, token_rate=1, token_max_in_flight=1)
    kept = limiter.of_call(route, "a", START)
    assert (kept.route, limiter.of_call(route, "a", START)) == (route, kept)
    limiter.tick(START + 100, lambda _: True)
    assert kept.route is None
    assert limiter.of_call(route, "a", START + 100).token is not kept.token


def test_a_forgotten_bucket_that_its_tokens_reach_late_admits_nobody() -> None:
    limiter, route = Limiter(), a_route(token_rate=1000, token_burst=1000)
    kept = limiter.of_call(route, "a", START)
    assert kept.token is not None
    kept.token.ask(START, 0.0)
    limiter.tick(START + 100, lambda _: True)
    kept.token.settle(Answer(500, 10.0, 0.0, 0.0), START + 100, START + 100)
    assert kept.token.take(START + 100) == 0, "there they are"
    assert kept.take_quietly(START + 100) is None


def slowly(limits: CallLimits, now: float) -> bytes | None:
    """As `take_quietly` is meant, bucket by bucket."""
    function, token = limits.function, limits.token
    assert function is not None
    assert token is not None
    if function.take(now) != 0:
        return None
    if token.take(now) != 0:
        function.put_back()
        return None
    return function.told + token.told


@given(
    st.lists(st.sampled_from([0.0, *[0.001] * 9, 0.01, 0.2, 2.0]), min_size=100, max_size=300), st.booleans()
)
def test_a_quiet_call_does_what_the_buckets_would(pauses: list[float], other_caller: bool) -> None:
    route = a_route(4000, 4000, token_rate=300, token_burst=2000)
    both = [Routers(), Routers()]
    callers = ["a", "b"] if other_caller else ["a"]
    now, quiet = START, 0
    for number, pause in enumerate(pauses):
        now += pause
        told = []
        for routers in both:
            limiter = routers.limiters[0]
            limits = limiter.of_call(route, callers[number % len(callers)], now)
            lines = limits.take_quietly(now) if routers is both[0] else None
            quiet += lines is not None
            told.append(slowly(limits, now) if lines is None else lines)
            limiter.tick(now, lambda _: True)
            if number % 3 == 0:
                routers.exchange(now)
        assert told[0] == told[1]
        assert both[0].asks == both[1].asks
        assert tokens_of(both[0]) == tokens_of(both[1])
    event(f"quiet: {quiet * 4 // max(1, len(pauses))} of 4")


def tokens_of(routers: Routers) -> list[tuple[int, float, float]]:
    return [(each.tokens, each.until, each.spent_at) for each in routers.limiters[0].buckets()]


def test_what_is_kept_of_a_caller_is_void_once_the_function_changes() -> None:
    limiter = Limiter()
    kept = limiter.of_call(a_route(1, token_rate=1), "a", START)
    again = limiter.of_call(a_route(token_rate=2), "a", START)
    assert again is not kept
    assert again.token is kept.token
    assert again.function is None
    assert (again.token.rate if again.token else None) == 2


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
