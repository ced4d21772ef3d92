"""A router's part: it fills by time, from nothing, and together parts fill no faster than the limit."""

import pytest

from plat.leasing import LEASE_TTL_S, RESERVE
from router.limits.shares import Share

START = 1000.0


def taken(share: Share, rate: float, burst: int, now: float, part: int = 0, parts: int = 1) -> int:
    """All that can be taken at once."""
    number = 0
    while share.take(rate, burst, part, parts, now) == 0:
        number += 1
    return number


def begun(at: float = START) -> Share:
    share = Share(0)
    share.begin(at)
    return share


def test_it_begins_with_nothing_and_fills_at_the_rate() -> None:
    share = begun()
    assert taken(share, 2, 40, START) == 0
    assert share.take(2, 40, 0, 1, START) == pytest.approx(0.5)
    assert taken(share, 2, 40, START + 0.5) == 1


def test_while_leases_may_be_out_it_holds_no_more_than_what_is_never_leased() -> None:
    assert taken(begun(), 100, 40, START + LEASE_TTL_S - 0.01) == 40 // RESERVE


def test_what_it_could_not_hold_then_does_not_come_back() -> None:
    assert taken(begun(), 100, 40, START + LEASE_TTL_S) == 40 // RESERVE
    assert taken(begun(), 100, 40, START + LEASE_TTL_S + 10) == 40


def test_a_router_without_a_part_of_the_reserve_begins_when_leases_have_ended() -> None:
    share = begun()
    assert share.take(1.0, 3, 0, 1, START + 0.5) == pytest.approx(LEASE_TTL_S - 0.5)
    assert taken(share, 1.0, 3, START + LEASE_TTL_S) == 0
    assert taken(share, 1.0, 3, START + LEASE_TTL_S + 1) == 1


@pytest.mark.parametrize("burst", [4, 5, 6, 40])
def test_routers_that_begin_at_different_times_fill_no_faster_than_the_limit(burst: int) -> None:
    shares = [begun(START + 1.7 * part) for part in range(4)]
    number = 0
    for step in range(320):
        now = START + 1.7 * 3 + step / 32
        number += sum(taken(share, 3.0, burst, now, part, 4) for part, share in enumerate(shares))
    assert number <= 3.0 * 10 + burst


def test_without_any_part_it_admits_nothing() -> None:
    shares = [begun() for _ in range(2)]
    assert sorted(taken(share, 100, 1, START + 10, part, 2) for part, share in enumerate(shares)) == [0, 1]


def test_it_begins_once_until_it_ends() -> None:
    share = begun()
    share.begin(START + 1)
    assert taken(share, 1, 40, START + 1) == 1
    share.end()
    share.begin(START + 2)
    assert taken(share, 1, 40, START + 2) == 0
