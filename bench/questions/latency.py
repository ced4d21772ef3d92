"""Latency at shares of the slowest contender's capacity, from the open-loop generator."""

from collections.abc import Sequence
from typing import NamedTuple

from bench import closedloop
from bench.contenders.all import Field
from bench.contenders.base import Running
from bench.figures import Result
from bench.measure import interleave
from bench.openloop import Generator, generator
from bench.plan import OPEN_LOOP_OVERHEAD_S, Plan
from bench.request import CASES, path_of
from bench.schedule import Order, Outcome

LENGTHS = {0.2: 2.0, 0.5: 0.8, 0.7: 0.6, 0.85: 0.6}
"""Level -> the length of its runs beside the others': a p99 is of much the same number of calls at each."""

QUICK_LEVELS = (0.5, 0.85)
P999_CALLS = 1000
"""A run of fewer calls has no p99.9: its rank would be that of the slowest."""


class Setting(NamedTuple):
    function: str
    connections: int


SETTINGS = (
    Setting("t90", 64),
    Setting("t90", 1),
    Setting("x90", 64),
    Setting("t10k", 64),
    Setting("t10k", 1),
    Setting("t1m", 64),
    Setting("t1m", 1),
)
CAPACITY_S = 1.0
GRACE_S = 1.0
"""A contender that is overrun must not hold up the others for long."""

HOW = """
Open loop at constant intervals; latency counts from the moment a call was meant to start, whether
or not a connection was free (no coordinated omission). All contenders get the same rates: shares of
the capacity of the slowest, measured just before in a closed loop over as many connections. The
generator runs under uvloop with a kernel timer, and says when it could not keep its own schedule;
such runs are marked. There is a p99.9 where a run has 1000 calls or more.
"""


def ask(field: Field, plan: Plan) -> Result:
    result = Result("latency", HOW, skipped=field.skipped)
    result.not_measured = ["large requests", "large answers from unix sockets"]
    chosen, levels = settings(plan)
    runs = len(field.running) * len(chosen) * len(levels)
    capacities_s = len(field.running) * len(chosen) * CAPACITY_S
    seconds = plan.run_s("latency", runs, capacities_s, OPEN_LOOP_OVERHEAD_S)
    with generator() as source:
        for setting in chosen:
            capacity = _slowest(field, setting)
            for level in levels:
                _one(field, plan, source, setting, level, capacity, seconds * LENGTHS[level], result)
    return result


def settings(plan: Plan) -> tuple[Sequence[Setting], Sequence[float]]:
    """And levels. A quick run has time for small calls over TCP at two."""
    if plan.quick:
        return [each for each in SETTINGS if each.function == "t90"], QUICK_LEVELS
    return SETTINGS, tuple(LENGTHS)


def _slowest(field: Field, setting: Setting) -> float:
    """Calls a second. The first run warms up."""
    return min(_capacity(each, setting, field) for each in field.running)


def _capacity(contender: Running, setting: Setting, field: Field) -> float:
    return closedloop.run(
        contender.url(setting.function),
        connections=setting.connections,
        seconds=CAPACITY_S,
        request_bytes=CASES[setting.function].request_bytes,
        folder=field.folder,
    ).calls_per_s


def case_name(setting: Setting, level: float) -> str:
    return f"{CASES[setting.function].title}, c = {setting.connections} at {level:.0%}"


def _one(
    field: Field,
    plan: Plan,
    source: Generator,
    setting: Setting,
    level: float,
    capacity: float,
    seconds: float,
    result: Result,
) -> None:
    def run(contender: Running) -> None:
        order = Order(
            host="127.0.0.1",
            port=contender.port,
            target=path_of(setting.function),
            rate=capacity * level,
            seconds=seconds,
            connections=setting.connections,
            request_bytes=CASES[setting.function].request_bytes,
            grace_s=GRACE_S,
        )
        note(result, case_name(setting, level), contender.name, order.rate, source.perform(order))

    interleave(field.running, plan.repeats, run)


def percentiles(outcome: Outcome) -> dict[str, float]:
    few = outcome.planned < P999_CALLS
    return {name: value for name, value in outcome.latency_ms.items() if not (few and name == "p99.9")}


def note(result: Result, case: str, contender: str, rate: float, outcome: Outcome) -> None:
    row = result.row(case, contender)
    good = outcome.statuses.get("200", 0)
    row.add(rate=rate, lag_p99_ms=outcome.lag_ms.get("p99", 0.0))
    row.add(**{f"{name.replace('.', '')}_ms": value for name, value in percentiles(outcome).items()})
    if good != outcome.planned:
        row.note(f"{outcome.planned - good} of {outcome.planned} calls failed in a run")
    if not outcome.kept:
        row.note("the generator was late in a run")
