"""When the slots of a router that is away may be taken as free."""

import pytest

from pool.away import GRACE_S, AwayRouters
from pool.ledger import UNKNOWN_ROUTER

START = 100.0
PATIENCE_S = 35.0


@pytest.mark.parametrize(
    ("in_flight", "after_s", "free"),
    [
        (0, 0.0, False),
        (0, GRACE_S - 0.01, False),
        (0, GRACE_S, True),
        (1, GRACE_S, False),
        (None, GRACE_S, False),
        (1, 1e6, False),
        (None, 1e6, False),
    ],
)
@pytest.mark.parametrize("router", ["r1", UNKNOWN_ROUTER])
def test_free_once_the_instance_says_that_it_is_idle(
    in_flight: int | None, after_s: float, free: bool, router: str
) -> None:
    away = AwayRouters(START)
    away.left("r1", START)
    assert away.free({router}, in_flight, START + after_s) == ({router} if free else set())


@pytest.mark.parametrize("router", ["r1", UNKNOWN_ROUTER])
def test_overdue_once_any_call_must_have_ended(router: str) -> None:
    away = AwayRouters(START)
    away.left("r1", START)
    assert not away.overdue({router, "here"}, START + PATIENCE_S, PATIENCE_S)
    assert away.overdue({router, "here"}, START + PATIENCE_S + 0.01, PATIENCE_S)
    assert not away.overdue({"here"}, START + 1e6, PATIENCE_S)


def test_a_router_that_is_here_keeps_what_it_holds() -> None:
    away = AwayRouters(START)
    assert away.free({"r1"}, 0, START + 1000) == set()
    away.left("r1", START)
    away.came("r1")
    away.came("r1")
    assert away.free({"r1"}, 0, START + 1000) == set()


def test_the_clock_begins_anew_when_it_leaves_again() -> None:
    away = AwayRouters(START)
    away.left("r1", START)
    away.came("r1")
    away.left("r1", START + 50)
    assert away.free({"r1"}, 0, START + 51) == set()


def test_only_those_that_are_away_of_many() -> None:
    away = AwayRouters(START)
    away.left("r1", START)
    holders = {"r1", "r2", UNKNOWN_ROUTER}
    assert away.free(holders, 0, START + GRACE_S) == {"r1", UNKNOWN_ROUTER}


def test_once_all_routers_have_spoken_no_unknown_one_will() -> None:
    away = AwayRouters(START)
    away.left("r1", START)
    away.complete(False)
    assert away.free({"r1", UNKNOWN_ROUTER}, 0, START) == set()
    away.complete(True)
    assert away.free({"r1", UNKNOWN_ROUTER}, 0, START) == {UNKNOWN_ROUTER}
    assert away.free({UNKNOWN_ROUTER}, 1, START) == set()
    away.complete(False)
    assert away.free({UNKNOWN_ROUTER}, 0, START) == {UNKNOWN_ROUTER}
