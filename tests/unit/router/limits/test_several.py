"""Calls with several limits: one wait for the tokens of all, and what is not needed goes back."""

from typing import Any

import pytest

from plat.errors import PlatError
from plat.feed import Route
from plat.leasing import LEASE_TTL_S
from router.access.identity import Identities
from router.admission import Admission
from router.limits.buckets import LeasedBucket
from router.routes import RouteTable
from router.target import LIVE, Target
from tests.unit.router.access.test_identity import entry
from tests.unit.router.limits.lease_rig import START, Routers, a_route

TARGET = Target("f", LIVE, "/function/f", "/")


class Call:
    """As a connection's: it waits where it is told to, and asks again."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.waits = 0
        self.outcome: str | None = None
        """"admitted", or the error's code; None: it waits."""

    def resume(self, now: float) -> None:
        admitted = self._admission.admit(TARGET, "Bearer secret", now, self.waits < 4)
        if isinstance(admitted, LeasedBucket):
            self.waits += 1
            admitted.waiters.append(self)
        else:
            self.outcome = admitted.code if isinstance(admitted, PlatError) else "admitted"


class Rig:
    def __init__(self, route: Route, count: int = 1) -> None:
        self.routers = Routers(count)
        self.route = route
        self._admissions = [self._admission(part) for part in range(count)]

    def _admission(self, part: int) -> Admission:
        routes, identities = RouteTable(), Identities()
        routes.put(self.route)
        identities.put(entry("secret"))
        return Admission(routes, identities, self.routers.limiters[part], 1000)

    def call(self, now: float, part: int = 0) -> Call:
        call = Call(self._admissions[part])
        call.resume(now)
        return call


ALL: dict[str, Any] = {"token_rate": 2.0, "token_burst": 3, "token_max_in_flight": 2}


@pytest.mark.parametrize(
    "route",
    [
        a_route(5, 8, **ALL),
        a_route(1000, 1000, **ALL),
        a_route(5, 8, token_rate=1000.0, token_burst=1000, token_max_in_flight=2),
        a_route(5, 8, token_max_in_flight=2),
        a_route(1000, 1000, token_rate=1000.0, token_burst=1000),
    ],
)
def test_a_first_call_waits_once_for_the_tokens_of_all_limits(route: Route) -> None:
    rig = Rig(route)
    call = rig.call(START)
    assert call.waits == 1
    rig.routers.exchange(START)
    assert (call.outcome, call.waits) == ("admitted", 1)


def test_a_token_that_is_here_stays_while_another_limits_is_fetched() -> None:
    rig = Rig(a_route(5, 8, **ALL))
    function = rig.routers.limiters[0].of_function(rig.route, START)
    function.expect(START)
    rig.routers.exchange(START)
    assert function.tokens == 1
    call = rig.call(START)
    rig.routers.exchange(START)
    assert (call.outcome, call.waits) == ("admitted", 1)
    assert [ask.returned for ask in rig.routers.asks if ask.key == "f:f"] == [0, 0]


def test_each_limit_holds_over_routers_and_no_other_limit_loses_by_it() -> None:
    rig = Rig(a_route(0.001, 8, token_rate=0.001, token_burst=3), 2)
    outcomes = []
    for number in range(12):
        call = rig.call(START + number, part=number % 2)
        rig.routers.exchange(START + number)
        outcomes.append(call.outcome)
    assert outcomes == ["admitted"] * 3 + ["rate_limited"] * 9
    rig.routers.exchange(START + 12)
    bucket = rig.routers.limiters[0].of_function(rig.route, START + 13)
    bucket.take(START + 13)
    rig.routers.exchange(START + 13)
    assert rig.routers.asks[-1].key == "f:f"
    assert bucket.left + bucket.tokens == 8 - 3, "those who were refused have spent nothing"


def test_many_at_once_get_what_there_is() -> None:
    rig = Rig(a_route(0.001, 8, token_rate=0.001, token_burst=3))
    calls = [rig.call(START) for _ in range(10)]
    for step in range(5):
        rig.routers.exchange(START + step / 1000)
    assert [call.outcome for call in calls].count("admitted") == 3
    assert [call.outcome for call in calls].count("rate_limited") == 7


def test_what_was_expected_and_is_not_needed_goes_back_at_once() -> None:
    rig = Rig(a_route(0.001, 2, token_rate=0.001, token_burst=5), 2)
    for _ in range(2):
        call = rig.call(START)
        rig.routers.exchange(START)
        assert call.outcome == "admitted"
    refused = rig.call(START)
    rig.routers.exchange(START)
    rig.routers.exchange(START)
    assert refused.outcome == "rate_limited"
    assert [bucket.tokens for limiter in rig.routers.limiters for bucket in limiter.buckets()] == [0, 0]


def test_while_the_store_is_away_what_another_limit_refused_is_not_lost() -> None:
    rig = Rig(a_route(0.001, 40, token_rate=100.0, token_burst=100))
    rig.call(START)
    rig.routers.away = True
    rig.routers.exchange(START)
    now = START + LEASE_TTL_S + 0.005
    function, token, *_ = rig.routers.limiters[0].buckets()
    function.take(now)
    token.take(now)
    function._share._tokens, token._share._tokens = 3.0, 0.0
    calls = []
    for step in range(400):
        calls.append(rig.call(now + step / 1000))
        rig.routers.exchange(now + step / 1000)
    assert [call.outcome for call in calls].count("admitted") == 3
