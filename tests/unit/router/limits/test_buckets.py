"""What a bucket says to a call: by tokens that it has leased."""

import pytest

from plat.feed import Route
from plat.leasing import LEASE_TTL_S, RESERVE, Answer, Buckets
from router.limits.buckets import AHEAD_S, HOLD_S, IDLE_S, PLENTY_AHEAD_S
from tests.unit.router.limits.lease_rig import START, Call, Routers, a_route, admitted, check, flood


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


def test_a_lease_ends_here_before_it_ends_in_the_store_however_late_the_answer_came() -> None:
    bucket = Routers().limiters[0].of_function(a_route(100, 100), START)
    bucket.ask(START, 0.0)
    bucket.settle(Answer(5, 10.0, 0.0, 0.0), START, START + 0.9)
    assert bucket.take(START + 0.9) == 0
    assert bucket.take(START + LEASE_TTL_S - 0.01) != 0


def test_what_goes_back_cannot_be_spent_from_the_moment_it_is_said() -> None:
    routers, route = Routers(), a_route(100, 100)
    flood(routers, route, seconds=0.5, pace=100)
    bucket = routers.limiters[0].of_function(route, START)
    assert bucket.tokens > 0
    said = bucket.ask(START + 0.5 + IDLE_S, 0.0)
    assert said.returned > 0
    assert bucket.take(START + 0.5 + IDLE_S) != 0


def test_a_lease_in_use_is_renewed_before_it_ends() -> None:
    routers, route = Routers(), a_route(100, 100)
    for step in range(100):
        now = START + step * 0.05
        Call(routers, route).begin(now)
        routers.exchange(now)
        routers.limiters[0].tick(now, lambda _: True)
        routers.exchange(now)
        assert routers.limiters[0].of_function(route, now).until >= now + HOLD_S / 4


def test_a_call_that_waits_at_a_function_that_is_deleted_is_resumed() -> None:
    routers, route = Routers(), a_route(10, 10)
    limiter = routers.limiters[0]
    call = Call(routers, route).begin(START)
    bucket = limiter.of_function(route, START)
    assert list(bucket.waiters) == [call]
    limiter.tick(START, lambda _: False)
    assert not bucket.waiters
    assert list(limiter.of_function(route, START).waiters) == [call], "it asked again"


# --- the store is away


def leave(routers: Routers, route: Route) -> float:
    """All is spent, and then the store does not answer."""
    flood(routers, route, seconds=1, pace=1000)
    lose_store(routers, route, START + 1)
    return START + 1


def lose_store(routers: Routers, route: Route, now: float) -> None:
    routers.away = True
    for limiter in routers.limiters:
        limiter.wants(limiter.of_function(route, now), now)
    routers.exchange(now)


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


def now_and_then(routers: Routers, route: Route, step: int) -> list[Call]:
    """A millisecond, and the calls that begin in it: one at each router each 0.3 s."""
    now, calls = START + step / 1000, []
    for part, limiter in enumerate(routers.limiters):
        if step % 300 == part * 75:
            calls.append(Call(routers, route, part).begin(now))
        if step % 100 == 0:
            limiter.tick(now, lambda _: True)
    routers.exchange(now)
    return calls


@pytest.mark.parametrize("away_s", [0.7, 1.5, 4])
@pytest.mark.parametrize("after_s", [0.0, 0.013, 0.2, 0.299])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_who_is_far_under_the_limit_notices_neither_that_the_store_goes_nor_that_it_is_back(
    count: int, after_s: float, away_s: float
) -> None:
    """A call at each router each 0.3 s. A token of a router's part is due in 42 ms."""
    routers, route = Routers(count), a_route(24 * count, 24 * count)
    away_from = START + 1
    back_at = away_from + away_s + after_s
    calls: list[Call] = []
    for step in range(10_000):
        now = START + step / 1000
        routers.away = away_from <= now < back_at
        calls += now_and_then(routers, route, step)
    assert len(calls) >= 33 * count
    assert all(call.outcome == 0 for call in calls)


@pytest.mark.parametrize("forgets_at", [0, 2000])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_who_is_far_under_the_limit_does_not_notice_that_the_store_has_lost_its_memory(
    count: int, forgets_at: int
) -> None:
    routers, route = Routers(count), a_route(24 * count, 24 * count)
    calls: list[Call] = []
    for step in range(6000):
        if step == forgets_at:
            routers.store = Buckets(START + step / 1000)
        calls += now_and_then(routers, route, step)
    assert len(calls) >= 20 * count
    assert all(call.outcome == 0 for call in calls)


def test_calls_wait_in_turn_for_tokens_of_a_part_and_no_more_than_are_due_soon() -> None:
    routers, route = Routers(), a_route(100, 100)
    lose_store(routers, route, START)
    calls = [Call(routers, route).begin(START) for _ in range(8)]
    assert [call.outcome for call in calls] == [None] * 5 + [pytest.approx(0.06)] * 3
    for step in range(1, 51):
        routers.exchange(START + step / 1000)
    assert [round(call.at - START, 3) for call in calls[:5]] == [0.01, 0.02, 0.03, 0.04, 0.05]
    assert admitted(calls) == [call.at for call in calls[:5]]


def test_where_calls_come_faster_than_a_part_fills_none_waits_for_a_token() -> None:
    routers, route = Routers(), a_route(100, 100)
    lose_store(routers, route, START)
    calls = []
    for step in range(500):
        calls.append(Call(routers, route).begin(START + step / 1000))
        routers.exchange(START + step / 1000)
    assert len(admitted(calls)) == pytest.approx(50, abs=1)
    begun = [START + step / 1000 for step in range(500)]
    late = [call.at - at for call, at in zip(calls, begun, strict=True) if call.at - at > 1e-6]
    assert len(late) == pytest.approx(5, abs=1)


@pytest.mark.parametrize(("pace", "ahead_s"), [(100, PLENTY_AHEAD_S), (2000, AHEAD_S)])
def test_more_is_leased_ahead_while_nobody_lacks_it(pace: float, ahead_s: float) -> None:
    """Each request for a lease costs a call something: the fewer, the better."""
    routers, route = Routers(), a_route(1000, 1000)
    flood(routers, route, seconds=5, pace=pace)
    asks = [ask for ask in routers.asks if ask.want][-10:]
    had = [ask.held + ask.want for ask in asks]
    assert sum(had) / len(had) == pytest.approx(min(pace, 1000) * ahead_s, rel=0.2)


# --- what an admitted call is told


def left_of(routers: Routers, route: Route, now: float) -> int:
    told = routers.limiters[0].of_function(route, now).told
    return int(told.partition(b";r=")[2].partition(b";")[0])


def test_each_call_is_told_of_one_less() -> None:
    routers, route = Routers(), a_route(0.001, 4)
    left = []
    for _ in range(4):
        assert Call(routers, route).begin(START).outcome is None
        routers.exchange(START)
        left.append(left_of(routers, route, START))
    assert left == [3, 2, 1, 0]


def test_what_is_leased_ahead_is_left_too() -> None:
    routers, route = Routers(), a_route(100, 100)
    for step in range(20):
        before = left_of(routers, route, START) if step else 100
        Call(routers, route).begin(START)
        routers.exchange(START)
        assert left_of(routers, route, START) == before - 1


def test_while_the_store_is_away_nothing_is_known_to_be_left() -> None:
    routers, route = Routers(), a_route(40, 40)
    leave(routers, route)
    assert left_of(routers, route, START + 2) == 0
