"""The trace that is made is the one that is shipped, and is like what it is made from."""

from pathlib import Path
from statistics import median

from bench.azure_like import HOUR_S, lines, make

SHIPPED = Path(__file__).parents[3] / "examples" / "traces" / "azure-like.csv"


def test_the_shipped_trace_is_what_is_made() -> None:
    """`python -m bench.azure_like --functions 40 --hours 2 --fastest-s 10 --seed 1`."""
    assert SHIPPED.read_text().splitlines() == list(lines(make(40, 2.0, 1, 10.0)))


def test_it_has_the_published_shares() -> None:
    made = make(3000, 24.0, 5, 60.0)
    hourly = sum(len(each.arrivals) <= 24 for each in made) / len(made)
    assert 0.4 < hourly < 0.55
    assert 100 < median(each.memory_mb for each in made) < 250


def test_arrivals_are_in_order_and_in_time() -> None:
    for each in make(100, 1.0, 2, 5.0):
        assert each.arrivals == sorted(each.arrivals)
        assert all(0 <= arrival < HOUR_S for arrival in each.arrivals)
