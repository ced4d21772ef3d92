"""Which router waits for how many slots, when its word and our grants cross on the way."""

import pytest

from pool.demand import Demands


@pytest.fixture
def demands() -> Demands:
    demands = Demands()
    for router in ("r1", "r2"):
        demands.router_here(router)
    return demands


def test_the_last_word_of_each_router_counts(demands: Demands) -> None:
    demands.asked("v", "r1", 3, 0)
    demands.asked("v", "r2", 1, 0)
    demands.asked("v", "r1", 2, 0)
    demands.asked("w", "r1", 5, 0)
    assert demands.of("v") == {"r1": 2, "r2": 1}
    assert demands.outstanding("v") == 3
    assert demands.versions() == ["v", "w"]


def test_nothing_is_left_of_what_was_taken_back(demands: Demands) -> None:
    demands.asked("v", "r1", 3, 0)
    demands.asked("v", "r1", 0, 0)
    demands.asked("x", "r1", 0, 0)
    assert demands.of("v") == {}
    assert demands.versions() == []


def test_a_grant_is_taken_off_at_once(demands: Demands) -> None:
    demands.asked("v", "r1", 3, 0)
    demands.granted("v", "r1", 2)
    assert demands.outstanding("v") == 1
    demands.granted("v", "r1", 5)
    assert demands.outstanding("v") == 0


@pytest.mark.parametrize(("queued", "seen", "left"), [(3, 0, 0), (3, 1, 1), (3, 2, 3), (4, 0, 1), (1, 1, 0)])
def test_a_word_older_than_our_grants(demands: Demands, queued: int, seen: int, left: int) -> None:
    """Two grants went out, of one slot and of two; the router had seen `seen` of them when it spoke."""
    demands.asked("v", "r1", 3, 0)
    demands.granted("v", "r1", 1)
    demands.granted("v", "r1", 2)
    demands.asked("v", "r1", queued, seen)
    assert demands.outstanding("v") == left


def test_grants_of_other_versions_and_to_other_routers_are_no_help(demands: Demands) -> None:
    demands.granted("w", "r1", 5)
    demands.granted("v", "r2", 5)
    demands.asked("v", "r1", 2, 0)
    assert demands.of("v") == {"r1": 2}


def test_a_new_connection_counts_from_zero(demands: Demands) -> None:
    demands.asked("v", "r1", 1, 0)
    demands.granted("v", "r1", 1)
    demands.router_here("r1")
    assert demands.outstanding("v") == 0
    demands.asked("v", "r1", 1, 0)
    assert demands.outstanding("v") == 1


def test_a_router_that_is_gone_waits_for_nothing(demands: Demands) -> None:
    demands.asked("v", "r1", 1, 0)
    demands.asked("v", "r2", 1, 0)
    demands.router_gone("r1")
    demands.router_gone("unknown")
    assert demands.of("v") == {"r2": 1}


def test_what_is_asked_of_may_be_changed_meanwhile(demands: Demands) -> None:
    demands.asked("v", "r1", 1, 0)
    for router in demands.of("v"):
        demands.granted("v", router, 1)
    demands.asked("v", "r1", 1, 1)
    demands.clear("v")
    demands.clear("v")
    assert demands.versions() == []
