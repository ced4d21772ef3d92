"""The pool's buckets, and what a pool that has just started may take for granted."""

from plat.feed import Lease
from plat.leasing import LEASE_TTL_S, Ask
from pool.leases import SWEEP_S, Leases

START = 1000.0


def ask(leases: Leases, router: str, number: int, now: float) -> int:
    message = Lease(number, [Ask("k", 0.001, 3, 0, 0, 1, 0.0, 1e9, False)])
    answer = leases.answer(router, message, now)
    assert answer.number == number
    return answer.answers[0].lease


def test_where_all_routers_are_new_buckets_are_full() -> None:
    leases = Leases(2, START)
    leases.router_here("a", leased=False)
    assert ask(leases, "a", 1, START + 0.1) == 0
    leases.router_here("b", leased=False)
    assert ask(leases, "a", 2, START + 0.2) == 1


def test_where_one_had_leases_they_are_waited_for() -> None:
    leases = Leases(2, START)
    leases.router_here("a", leased=True)
    leases.router_here("b", leased=False)
    leases.router_here("c", leased=False)
    assert ask(leases, "b", 1, START + LEASE_TTL_S - 0.1) == 0


def test_buckets_that_are_full_are_forgotten() -> None:
    leases = Leases(1, START)
    leases.router_here("a", leased=False)
    assert ask(leases, "a", 1, START) == 1
    assert ask(leases, "a", 2, START + 100 * SWEEP_S) == 1


def test_a_pool_that_is_found_late_remembers_only_since_then() -> None:
    leases = Leases(2, START)
    leases.router_here("a", leased=True)
    found = START + 10 * LEASE_TTL_S
    assert ask(leases, "a", 1, found) == 0
    assert ask(leases, "a", 2, found + LEASE_TTL_S - 0.1) == 0
