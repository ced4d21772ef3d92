"""Latency at shares of the slowest contender's capacity, from the open-loop generator."""

from typing import NamedTuple

from bench import closedloop
from bench.contenders.all import Field
from bench.contenders.base import Running
from bench.figures import Result
from bench.measure import interleave
from bench.openloop import Generator, generator
from bench.plan import Plan
from bench.request import CASES, path_of
from bench.schedule import Order, Outcome

ALL_LEVELS = (0.2, 0.5, 0.7, 0.85)
TWO_LEVELS = (0.5, 0.85)


class Setting(NamedTuple):
    function: str
    connections: int
    levels: tuple[float, ...]
    weight: float
    """The length of its runs beside the others'."""


SETTINGS = (
    Setting("t90", 64, ALL_LEVELS, 1.2),
    Setting("t90", 1, ALL_LEVELS, 0.8),
    Setting("t10k", 64, TWO_LEVELS, 1.0),
    Setting("t10k", 1, TWO_LEVELS, 0.8),
    Setting("t1m", 64, TWO_LEVELS, 1.2),
    Setting("t1m", 1, TWO_LEVELS, 1.0),
)
CAPACITY_S = 1.0
GRACE_S = 1.0
"""A contender that is overrun must not hold up the others for long."""

HOW = """
Open loop at constant intervals; latency counts from the moment a call was meant to start, whether
or not a connection was free (no coordinated omission). All contenders get the same rates: shares of
the capacity of the slowest, measured just before in a closed loop over as many connections. The
generator runs under uvloop with a kernel timer, and says when it could not keep its own schedule;
such runs are marked.
"""


def ask(field: Field, plan: Plan) -> Result:
    result = Result("latency", HOW, skipped=field.skipped)
    result.not_measured = ["10 KB and 1 MB at 20 % and 70 %", "large requests", "unix-socket upstreams"]
    chosen = settings(plan)
    runs = len(field.running) * sum(len(each.levels) for each in chosen)
    seconds = plan.run_s("latency", runs, len(chosen) * len(field.running) * CAPACITY_S)
    with generator() as source:
        for setting in chosen:
            capacity = _slowest(field, setting)
            for level in setting.levels:
                _one(field, plan, source, setting, level, capacity, seconds * setting.weight, result)
    return result


def settings(plan: Plan) -> tuple[Setting, ...]:
    """A quick run has time for small calls at two levels."""
    small = [each._replace(levels=TWO_LEVELS) for each in SETTINGS if each.function == "t90"]
    return tuple(small) if plan.quick else SETTINGS


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


def note(result: Result, case: str, contender: str, rate: float, outcome: Outcome) -> None:
    row = result.row(case, contender)
    good = outcome.statuses.get("200", 0)
    row.add(rate=rate, lag_p99_ms=outcome.lag_ms.get("p99", 0.0))
    row.add(**{f"{name.replace('.', '')}_ms": value for name, value in outcome.latency_ms.items()})
    if good != outcome.planned:
        row.note(f"{outcome.planned - good} of {outcome.planned} calls failed in a run")
    if not outcome.kept:
        row.note("the generator was late in a run")
