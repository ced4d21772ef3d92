"""Where slots are, case by case; `test_ledger_machine` tries every order of events."""

import pytest

from plat.feed import UNLIMITED_SLOTS
from pool.ledger import IDLE_COME_S, UNKNOWN_ROUTER, Allotment, Ledger

NOW = 10.0


@pytest.fixture
def ledger() -> Ledger:
    """Two instances with four slots each, and one of another version; two routers are here."""
    ledger = Ledger()
    for instance in ("a", "b"):
        ledger.open(instance, "v", 4, NOW)
    ledger.open("z", "w", 1, NOW)
    for router in ("r1", "r2"):
        ledger.router_here(router, [])
    return ledger


def held(ledger: Ledger, instance: str) -> dict[str, int]:
    account = ledger.account(instance)
    assert account is not None
    return dict(account.held)


def settled(ledger: Ledger, instance: str) -> bool:
    account = ledger.account(instance)
    assert account is not None
    return account.settled


def slots(allotments: list[Allotment]) -> int:
    return sum(each.slots for each in allotments)


# --- grants


def test_slots_are_granted_until_none_is_home(ledger: Ledger) -> None:
    assert slots(ledger.grant("v", "r1", 3, NOW)) == 3
    assert slots(ledger.grant("v", "r2", 100, NOW)) == 5
    assert ledger.grant("v", "r1", 1, NOW) == []
    assert ledger.grant("unknown", "r1", 1, NOW) == []
    assert ledger.grant("w", "r1", 0, NOW) == []


def test_the_instance_used_last_is_granted_first(ledger: Ledger) -> None:
    ledger.grant("v", "r1", 8, NOW)
    ledger.returned("r1", "a", 4, 1.0, NOW + 20)
    ledger.returned("r1", "b", 4, 5.0, NOW + 20)
    assert [each.instance for each in ledger.grant("v", "r2", 5, NOW + 21)] == ["a", "b"]


def test_idle_time_counts_from_the_last_use_not_from_the_return(ledger: Ledger) -> None:
    ledger.grant("w", "r1", 1, NOW + 1)
    ledger.returned("r1", "z", 1, 30.0, NOW + 40)
    account = ledger.account("z")
    assert account is not None
    assert account.last_used == NOW + 10
    assert account.settled


def test_an_unlimited_instance_is_every_routers() -> None:
    ledger = Ledger()
    ledger.open("a", "v", 0, NOW)
    for router in ("r1", "r2"):
        assert slots(ledger.grant("v", router, 1, NOW)) == UNLIMITED_SLOTS
        assert ledger.grant("v", router, 1, NOW) == []
    ledger.returned("r1", "a", UNLIMITED_SLOTS, 0, NOW)
    assert not settled(ledger, "a")
    ledger.returned("r2", "a", UNLIMITED_SLOTS, 0, NOW)
    assert settled(ledger, "a")


def test_returns_of_what_is_gone_or_was_never_held(ledger: Ledger) -> None:
    assert ledger.returned("r1", "unknown", 1, 0, NOW) is None
    assert ledger.returned("r1", "a", 3, 0, NOW) == "v"
    assert slots(ledger.grant("v", "r2", 100, NOW)) == 8
    ledger.close("a")
    ledger.close("a")
    assert ledger.returned("r2", "a", 1, 0, NOW) is None
    assert [each.instance for each in ledger.of_version("v")] == ["b"]


# --- asking back


def test_others_are_asked_for_what_they_hold_beyond_what_they_may_keep(ledger: Ledger) -> None:
    ledger.grant("v", "r1", 8, NOW)
    assert slots(ledger.reclaim("v", 3, "r2", {"r1": 6})) == 2
    assert slots(ledger.reclaim("v", 3, "r2", {})) == 3
    assert ledger.coming("v") == 5
    assert ledger.held_by("v", "r1") == 3
    assert slots(ledger.reclaim("v", 100, "r2", {})) == 3
    assert ledger.reclaim("v", 1, "r2", {}) == []


def test_nobody_is_asked_for_its_own_need(ledger: Ledger) -> None:
    ledger.grant("v", "r1", 8, NOW)
    assert ledger.reclaim("v", 1, "r1", {}) == []


def test_room_is_made_by_every_holder_of_any_version() -> None:
    ledger = Ledger()
    ledger.open("a", "v", 0, NOW)
    ledger.open("b", "w", 2, NOW)
    ledger.grant("v", "r1", 3, NOW, room=5)
    ledger.grant("w", "r1", 1, NOW, room=2)
    ledger.grant("w", "r2", 1, NOW, room=1)
    asked = ledger.make_room(["v", "w"], 2, {("r2", "w"): 1}, NOW)
    assert asked == [Allotment("r1", "a", 2)]
    assert ledger.make_room(["v", "w"], 2, {}, NOW) == [Allotment("r2", "b", 1)]
    ledger.returned("r1", "a", 1, 0, NOW)
    assert ledger.make_room(["v", "w"], 2, {}, NOW) == [Allotment("r1", "a", 1)]


def test_what_does_not_come_at_once_is_asked_for_elsewhere() -> None:
    """It is with calls, which may last."""
    ledger = Ledger()
    for instance in ("a", "b"):
        ledger.open(instance, "v", 1, NOW)
    ledger.grant("v", "r1", 2, NOW)
    first = ledger.make_room(["v"], 1, {}, NOW)
    assert ledger.make_room(["v"], 1, {}, NOW + IDLE_COME_S / 2) == []
    second = ledger.make_room(["v"], 1, {}, NOW + IDLE_COME_S)
    assert sorted(each.instance for each in first + second) == ["a", "b"]
    assert ledger.make_room(["v"], 1, {}, NOW + 10) == []


def test_nobody_who_is_away_is_asked(ledger: Ledger) -> None:
    ledger.grant("v", "r1", 8, NOW)
    ledger.router_away("r1")
    assert ledger.reclaim("v", 1, "r2", {}) == []
    assert ledger.make_room(["v"], 1, {}, NOW) == []
    assert ledger.drain("a") == []


def test_what_comes_back_is_not_coming_any_more(ledger: Ledger) -> None:
    ledger.grant("v", "r1", 8, NOW)
    (asked,) = ledger.reclaim("v", 2, "r2", {})
    ledger.returned("r1", asked.instance, 2, 0, NOW)
    assert ledger.coming("v") == 0
    assert slots(ledger.grant("v", "r2", 100, NOW)) == 2


def test_a_drained_instance_grants_nothing_and_is_asked_for_once(ledger: Ledger) -> None:
    ledger.grant("v", "r1", 3, NOW)
    drained = "a" if held(ledger, "a") else "b"
    assert ledger.drain(drained) == [Allotment("r1", drained, 3)]
    assert slots(ledger.grant("v", "r2", 100, NOW)) == 4
    assert ledger.reclaim("v", 10, "r2", {}) == []
    assert ledger.total("v") == 4
    ledger.returned("r1", drained, 3, 0, NOW)
    assert settled(ledger, drained)
    assert ledger.drain("unknown") == []


# --- after the pool's restart


@pytest.fixture
def restarted() -> Ledger:
    ledger = Ledger()
    ledger.adopt("a", "v", 4, NOW)
    return ledger


def test_an_adopted_instance_grants_nothing_before_the_routers_have_spoken(restarted: Ledger) -> None:
    assert restarted.grant("v", "r1", 1, NOW) == []
    restarted.router_here("r1", [("a", 1)])
    assert held(restarted, "a") == {UNKNOWN_ROUTER: 3, "r1": 1}
    restarted.router_here("r2", [("a", 2)])
    restarted.release("a", [UNKNOWN_ROUTER])
    assert held(restarted, "a") == {"r1": 1, "r2": 2}
    assert slots(restarted.grant("v", "r1", 100, NOW)) == 1


def test_a_router_that_spoke_before_the_instance_was_found(restarted: Ledger) -> None:
    restarted.router_here("r1", [("b", 2)])
    restarted.adopt("b", "v", 4, NOW)
    assert held(restarted, "b") == {UNKNOWN_ROUTER: 2, "r1": 2}


def test_slots_given_back_before_the_instance_was_found_are_not_claimed(restarted: Ledger) -> None:
    """Else they would be held by nobody for ever."""
    restarted.router_here("r1", [("b", 2)])
    assert restarted.returned("r1", "b", 2, 0, NOW) is None
    restarted.adopt("b", "v", 4, NOW)
    assert held(restarted, "b") == {UNKNOWN_ROUTER: 4}


def test_a_router_that_speaks_twice_is_counted_once(restarted: Ledger) -> None:
    """Its link may break again before the others have spoken: their slots are not its to free."""
    for _ in range(2):
        restarted.router_here("r1", [("a", 2)])
    assert held(restarted, "a") == {UNKNOWN_ROUTER: 2, "r1": 2}
    restarted.router_here("r1", [("a", 1)])
    assert held(restarted, "a") == {UNKNOWN_ROUTER: 2, "r1": 1}


def test_claims_to_what_does_not_exist_are_told_once(restarted: Ledger) -> None:
    restarted.router_here("r1", [("a", 1), ("ghost", 1)])
    assert restarted.unfounded(lambda instance: instance == "a") == [("r1", "ghost")]
    assert restarted.unfounded(lambda instance: instance == "a") == []


def test_an_unlimited_instance_is_adopted(restarted: Ledger) -> None:
    restarted.adopt("u", "w", 0, NOW)
    restarted.router_here("r1", [("u", UNLIMITED_SLOTS)])
    restarted.release("u", [UNKNOWN_ROUTER])
    assert held(restarted, "u") == {"r1": UNLIMITED_SLOTS}
    assert slots(restarted.grant("w", "r2", 1, NOW)) == UNLIMITED_SLOTS


# --- routers come and go


def test_the_routers_word_is_the_truth(ledger: Ledger) -> None:
    ledger.grant("v", "r1", 8, NOW)
    ledger.reclaim("v", 4, "r2", {})
    ledger.router_away("r1")
    ledger.router_here("r1", [("a", 1)])
    assert held(ledger, "a") == {"r1": 1}
    assert held(ledger, "b") == {}
    assert ledger.coming("v") == 0


def test_slots_of_one_that_is_away_stay_until_released(ledger: Ledger) -> None:
    ledger.grant("w", "r1", 1, NOW)
    assert ledger.with_away() == []
    ledger.router_away("r1")
    assert [each.instance for each in ledger.with_away()] == ["z"]
    assert ledger.grant("w", "r2", 1, NOW) == []
    ledger.release("z", ["r1", "r2"])
    ledger.release("unknown", ["r1"])
    assert ledger.with_away() == []
    assert slots(ledger.grant("w", "r2", 1, NOW)) == 1


def test_slots_of_one_that_is_here_are_not_released(ledger: Ledger) -> None:
    ledger.grant("w", "r1", 1, NOW)
    ledger.release("z", ["r1"])
    assert held(ledger, "z") == {"r1": 1}


def test_one_that_comes_back_with_slots_given_away_meanwhile(ledger: Ledger) -> None:
    """Both really hold them: that is written down, and nothing more is granted."""
    ledger.grant("w", "r1", 1, NOW)
    ledger.router_away("r1")
    ledger.release("z", ["r1"])
    ledger.grant("w", "r2", 1, NOW)
    ledger.router_here("r1", [("z", 1)])
    assert held(ledger, "z") == {"r1": 1, "r2": 1}
    assert ledger.grant("w", "r3", 1, NOW) == []
    ledger.returned("r2", "z", 1, 0, NOW)
    assert ledger.grant("w", "r3", 1, NOW) == []
    ledger.returned("r1", "z", 1, 0, NOW)
    assert slots(ledger.grant("w", "r3", 1, NOW)) == 1
