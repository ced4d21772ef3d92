"""Permits: exact over all routers, and kept as long as calls have them."""

from plat.feed import Route
from router.limits.permits import PermitBucket
from tests.unit.router.limits.lease_rig import START, Routers, a_route, take


def permits(routers: Routers, route: Route, part: int, now: float = START) -> PermitBucket:
    return routers.limiters[part].permits(route, "somebody", now)


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
