from bench.feed_stub import FixedFunction, Fixture, Ledger, route, tokens
from plat.feed import Demand, Faulted, Gone, Grant, Hello, Returned, Saturated

FUNCTIONS = [FixedFunction("f", "tcp:127.0.0.1:1", 8), FixedFunction("none", "tcp:127.0.0.1:2", 0)]
ALL = Grant("f", "f", "tcp:127.0.0.1:1", 8)


def test_a_router_that_says_hello_is_granted_all() -> None:
    assert Ledger(FUNCTIONS).answer(Hello("router-0", [])) == [ALL]


def test_slots_that_came_back_are_granted_on_demand() -> None:
    ledger = Ledger(FUNCTIONS)
    ledger.grants()
    assert ledger.answer(Demand("f", 1, 8, 1)) == [Saturated("f")]
    assert ledger.answer(Returned("f", 8, 5.0)) == []
    assert ledger.answer(Demand("f", 0, 0, 1)) == []
    assert ledger.answer(Demand("f", 1, 0, 1)) == [ALL]


def test_what_has_no_slots_is_never_granted() -> None:
    assert Ledger(FUNCTIONS).answer(Demand("none", 5, 0, 0)) == [Saturated("none")]


def test_an_instance_that_failed_a_call_is_gone() -> None:
    ledger = Ledger(FUNCTIONS)
    ledger.grants()
    (gone,) = ledger.answer(Faulted("f", "unreachable"))
    assert isinstance(gone, Gone)
    assert ledger.answer(Returned("f", 8, 0.0)) == []
    assert ledger.answer(Demand("f", 1, 0, 1)) == [Saturated("f")]


def test_a_function_with_a_limit_of_tokens_needs_one() -> None:
    fixture = Fixture("pool.sock", FUNCTIONS, token="t")
    assert [each.scopes for each in tokens(fixture)] == [("invoke:*",)]
    limited = route(FixedFunction("f", "tcp:127.0.0.1:1", 8, token_rate=5.0))
    assert (limited.auth, limited.token_rate) == ("token", 5.0)
    assert route(FUNCTIONS[0]).auth == "public"
    assert tokens(Fixture("pool.sock", FUNCTIONS)) == []
