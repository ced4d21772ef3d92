"""The warm instances in the simulator."""

from pool.simulation.functions import SimulatedFunction
from pool.simulation.policy import Policy
from pool.simulation.stock import AT_ONCE, SimulatedStock
from pool.simulation.trace import Profile


def functions(*memory_mb: int) -> list[SimulatedFunction]:
    return [SimulatedFunction(Profile(f"f{mb}", memory_mb=mb), Policy()) for mb in memory_mb]


def test_it_is_filled_a_few_at_a_time() -> None:
    made = functions(64, 128, 256)
    stock = SimulatedStock(made, Policy(warm=1))
    first = stock.lacking(0.0)
    assert len(first) == AT_ONCE
    for kind in first:
        stock.make(kind)
    assert stock.lacking(0.0) == []
    stock.made(first[0])
    assert len(stock) == 1
    assert len(stock.lacking(0.0)) == 1


def test_one_is_taken_once() -> None:
    (function,) = functions(64)
    stock = SimulatedStock([function], Policy(warm=1))
    assert not stock.take(function.warm_kind, 0.0)
    stock.make(function.warm_kind)
    stock.made(function.warm_kind)
    assert stock.take(function.warm_kind, 0.0)
    assert not stock.take(function.warm_kind, 0.0)


def test_what_is_too_much_goes_when_starts_are_rare_again() -> None:
    (function,) = functions(64)
    stock = SimulatedStock([function], Policy(warm=1))
    for _ in range(3):
        stock.take(function.warm_kind, 0.0)
        stock.make(function.warm_kind)
        stock.made(function.warm_kind)
    assert stock.surplus(0.0) == [] and len(stock) in (1, 2, 3)
    left = len(stock)
    assert len(stock.surplus(100.0)) == left - 1
    assert len(stock) == 1


def test_dropping_ends_with_none() -> None:
    (function,) = functions(64)
    stock = SimulatedStock([function], Policy(warm=1))
    assert stock.drop() is None
    stock.make(function.warm_kind)
    assert stock.drop() is None
    stock.made(function.warm_kind)
    assert stock.drop() == function.warm_kind
    assert stock.drop() is None
