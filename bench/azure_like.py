"""Makes a trace like those of Azure Functions: `python -m bench.azure_like --hours 2 > trace.csv`.

From the distributions that "Serverless in the Wild" (Shahrad et al., USENIX ATC 2020) fitted to two weeks of
the whole service. What a start costs is not in the paper: it is our guess.
"""

import argparse
import random
from collections.abc import Callable, Iterator
from math import exp
from typing import NamedTuple

HOUR_S = 3600.0

INTERVAL_LOG10 = (3.333, 1.771)
"""Mean and deviation of log10 of a function's mean seconds between calls: 45 % are called at most once
an hour, 81 % at most once a minute (figure 5)."""

DURATION_LOG = (-0.38, 2.36)
"""Of the natural logarithm of the mean seconds a function takes (figure 7)."""

DURATIONS_S = (0.001, 60.0)
MEMORY_BURR = (11.652, 0.221, 107.083)
"""c, k and the scale in MB (figure 8)."""

MEMORY_MB = (16, 1024)
COLD_S = (0.1, 0.6)
"""At least, and the mean beyond it."""

TIMERS_S = (60, 300, 600, 900, 1800, 3600, 7200, 14_400, 86_400)
PERIODIC, BURSTY = 0.2, 0.4
"""Shares of functions whose gaps vary not at all, and more than by chance (figure 6)."""

BURST_CALLS = 8
BURST_GAP_S = 2.0


class Made(NamedTuple):
    """A function: when it is called, and what it needs."""

    name: str
    arrivals: list[float]
    duration_s: float
    memory_mb: int
    cold_s: float


def make(functions: int, hours: float, seed: int, fastest_s: float = 1.0) -> list[Made]:
    """The same for the same arguments. `fastest_s`: the least mean interval of a function's calls."""
    chance = random.Random(seed)
    return [_made(f"f{number:04}", hours * HOUR_S, chance, fastest_s) for number in range(functions)]


def lines(made: list[Made]) -> Iterator[str]:
    """As `plat simulate` reads them, in order of time."""
    yield "function,arrival_s,duration_s,memory_mb,cold_s"
    calls = sorted((arrival, each) for each in made for arrival in each.arrivals)
    for arrival, each in calls:
        yield f"{each.name},{arrival:.3f},{each.duration_s:.3f},{each.memory_mb},{each.cold_s:.3f}"


def _made(name: str, span_s: float, chance: random.Random, fastest_s: float) -> Made:
    interval_s = max(fastest_s, 10 ** chance.gauss(*INTERVAL_LOG10))
    arrivals = list(_until(span_s, _gaps(interval_s, chance)))
    duration_s = _within(exp(chance.gauss(*DURATION_LOG)), *DURATIONS_S)
    c, k, scale = MEMORY_BURR
    memory_mb = scale * ((1 - chance.random()) ** (-1 / k) - 1) ** (1 / c)
    cold_s = COLD_S[0] + chance.expovariate(1 / COLD_S[1])
    return Made(name, arrivals, duration_s, round(_within(memory_mb, *MEMORY_MB)), cold_s)


def _gaps(interval_s: float, chance: random.Random) -> Callable[[], float]:
    """The first gap is the time to the first call; a timer's is anywhere in its period."""
    kind = chance.random()
    if kind < PERIODIC:
        period_s = min(TIMERS_S, key=lambda each: abs(each - interval_s))
        first = iter([chance.random() * period_s])
        return lambda: next(first, None) or period_s
    if kind < PERIODIC + BURSTY:
        return lambda: _bursty(interval_s, chance)
    return lambda: chance.expovariate(1 / interval_s)


def _bursty(interval_s: float, chance: random.Random) -> float:
    """Of so many gaps one is long; the mean of all is the interval."""
    if chance.random() < 1 / BURST_CALLS:
        return chance.expovariate(1 / (interval_s * BURST_CALLS))
    return chance.expovariate(1 / min(BURST_GAP_S, interval_s))


def _until(span_s: float, gap: Callable[[], float]) -> Iterator[float]:
    now = gap()
    while now < span_s:
        yield now
        now += gap()


def _within(value: float, least: float, most: float) -> float:
    return min(most, max(least, value))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--functions", type=int, default=60)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fastest-s", type=float, default=5.0, help="least mean interval of a function")
    given = parser.parse_args()
    for line in lines(make(given.functions, given.hours, given.seed, given.fastest_s)):
        print(line)


if __name__ == "__main__":
    main()
