"""Permits: exact over all routers, and kept as long as calls have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plat.feed import Route
from plat.leasing import LEASE_TTL_S
from router.limits.permits import ASK_AGAIN_S, PermitBucket
from tests.unit.router.limits.lease_rig import START, Routers, a_route, take


def permits(routers: Routers, route: Route, part: int, now: float = START) -> PermitBucket:
    return routers.limiters[part].permits(route, "somebody", now)


def test_permits_are_exact_over_all_routers_and_come_back() -> None:
    routers, route = Routers(2), a_route(token_max_in_flight=3)
    got = [take(routers, permits(routers, route, part), START) for part in (0, 1, 0, 1, 0)]
    assert sorted(got) == [False, False, True, True, True]
    permits(routers, route, 0).release(START + 1)
    routers.exchange(START + 1)
    assert take(routers, permits(routers, route, 1), START + 1)


def test_permits_are_kept_as_long_as_calls_have_them() -> None:
    routers, route = Routers(2), a_route(token_max_in_flight=1)
    mine, other = (permits(routers, route, part) for part in (0, 1))
    assert take(routers, mine, START)
    for step in range(200):
        now = START + step * 0.1
        routers.limiters[0].tick(now, lambda _: True)
        routers.exchange(now)
        assert not take(routers, other, now)


def test_a_router_that_was_refused_asks_again_soon() -> None:
    """Another's call may end a moment later; how soon, nobody can know."""
    routers, route = Routers(2), a_route(token_max_in_flight=1)
    mine, other = (permits(routers, route, part) for part in (0, 1))
    assert take(routers, mine, START)
    assert not take(routers, other, START)
    mine.release(START + 0.01)
    routers.exchange(START + 0.01)
    assert not take(routers, other, START + ASK_AGAIN_S / 2)
    assert take(routers, other, START + ASK_AGAIN_S + 1e-6)


def test_however_many_calls_come_the_store_is_asked_no_more_than_so_often() -> None:
    routers, route = Routers(2), a_route(token_max_in_flight=1)
    mine, other = (permits(routers, route, part) for part in (0, 1))
    assert take(routers, mine, START)
    routers.asks.clear()
    for step in range(1000):
        assert not take(routers, other, START + step * 0.002)
    assert len(routers.asks) <= 2 / ASK_AGAIN_S + 1


def test_who_is_refused_is_told_to_come_back_in_a_second() -> None:
    routers, route = Routers(2), a_route(token_max_in_flight=1)
    assert take(routers, permits(routers, route, 0), START)
    other = permits(routers, route, 1)
    assert not take(routers, other, START)
    told = other.take(START + ASK_AGAIN_S / 2)
    assert told == pytest.approx(ASK_AGAIN_S / 2)
    assert other.answers.refusal(told).retry_after == "1"


def test_nothing_is_asked_while_the_store_counts_anew() -> None:
    """What was leased before it forgot may be in use for as long as a lease lives."""
    routers, route = Routers(1, since=START), a_route(token_max_in_flight=1)
    bucket = permits(routers, route, 0)
    assert not take(routers, bucket, START + 0.1)
    routers.asks.clear()
    for step in range(15):
        assert not take(routers, bucket, START + 0.2 + step / 10)
    assert routers.asks == []
    assert take(routers, bucket, START + LEASE_TTL_S + 0.2)


@given(
    count=st.integers(1, 3),
    most=st.integers(1, 9),
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.integers(-3, 4), st.sampled_from([0, 10, 40, 60, 500])), max_size=60
    ),
)
def test_never_more_are_in_use_than_there_are(
    count: int, most: int, steps: list[tuple[int, int, int]]
) -> None:
    """Calls begin (or end, below 0) at a router; then so many milliseconds pass."""
    routers, route = Routers(count), a_route(token_max_in_flight=most)
    buckets = [permits(routers, route, part) for part in range(count)]
    now = START
    for part, calls, passes_ms in steps:
        bucket = buckets[part % count]
        for _ in range(calls):
            take(routers, bucket, now)
        for _ in range(min(-calls, bucket.in_use)):
            bucket.release(now)
        for _ in range(passes_ms // 5):
            now += 0.005
            for limiter in routers.limiters:
                limiter.tick(now, lambda _: True)
            routers.exchange(now)
        assert sum(each.in_use for each in buckets) <= most
    for bucket in buckets:
        for _ in range(bucket.in_use):
            bucket.release(now)
    routers.exchange(now)
    first = buckets[0]
    assert take(routers, first, now + ASK_AGAIN_S), "with all calls ended, some are free everywhere"
