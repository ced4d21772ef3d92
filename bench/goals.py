"""The goals, each a ratio or a bound over figures of one run on one machine. Decides only."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from bench import cold_plan, samples, workload
from bench.figures import Result, exact
from bench.questions import decision, knative, limits, many_functions, moved
from bench.questions.overload import AT_85, AT_200, AT_PEAK, FLOOD, FULL, LIMITED

Measure = Callable[[Result], float | None]
Place = tuple[str, str]
"""Case and contender."""


class Goal(NamedTuple):
    """`limit` is the most that `measure` may give (or the least, if `at_least`)."""

    question: str
    text: str
    limit: float
    measure: Measure
    """None if what it needs was not measured."""
    at_least: bool = False


class Verdict(NamedTuple):
    goal: Goal
    value: float | None

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.goal.limit if self.goal.at_least else self.value <= self.goal.limit

    def __str__(self) -> str:
        bound = f"{'at least' if self.goal.at_least else 'at most'} {exact(self.goal.limit)}"
        if self.value is None:
            return f"not measured: {self.goal.text} ({bound})"
        return f"{'met' if self.met else 'MISSED'}: {self.goal.text} is {exact(self.value)} ({bound})"


def figure(name: str, place: Place) -> Measure:
    """The median of the repeats."""
    return lambda result: result.median(*place, name)


def quotient(name: str, place: Place, base: Place) -> Measure:
    """One median over another."""

    def measure(result: Result) -> float | None:
        above, below = result.median(*place, name), result.median(*base, name)
        return above / below if above is not None and below else None

    return measure


def failures(result: Result) -> float | None:
    """Of all rows."""
    return sum(sum(row.figures.get("failures", ())) for row in result.rows) if result.rows else None


def looked_up(result: Result) -> float | None:
    """A call's CPU with what look-ups among many cost more, over its CPU among few."""
    many, few = (
        result.median(many_functions.CASE_ADMIT, size, "admit_us")
        for size in (many_functions.HUNDRED_THOUSAND, many_functions.TEN)
    )
    call = result.median(*TEN, "cpu_us")
    return (call + many - few) / call if many is not None and few is not None and call else None


ROUTER, COMPILED, NGINX, GO = "plat router", "plat router, compiled", "nginx", "Go ReverseProxy"
TCP, UNIX = "90 B, TCP, 5120/s", "90 B, unix socket, 5120/s"
TEN = (many_functions.CASE_CPU, many_functions.TEN)
MANY = (many_functions.CASE_CPU, many_functions.HUNDRED_THOUSAND)
TOLD = (many_functions.CASE_LATENCY, many_functions.TOLD_AGAIN)
TURNS = (many_functions.CASE_TURNS, many_functions.AGAIN)
NO_OP = "concurrency 1, 3000/s"
WARM, DIRECT, COLD, START, MIXED, BURST = (
    samples.CASES[name]
    for name in (
        workload.WARM,
        workload.DIRECT,
        workload.COLD,
        workload.START,
        workload.MIXED,
        workload.BURST,
    )
)

PROCESS, DOCKER = (cold_plan.case(driver, cold_plan.SLOW) for driver in ("process", "docker"))


def _of_each_build(
    question: str, text: str, limit: float, case: str, base: str | None = None
) -> Iterator[Goal]:
    """The CPU per call, or its ratio to that of `base`, of the router as it is and compiled."""
    for build in (ROUTER, COMPILED):
        place = (case, build)
        cpu = figure("cpu_us", place) if base is None else quotient("cpu_us", place, (case, base))
        yield Goal(question, text.format(build), limit, cpu)


GOALS = (
    *_of_each_build("cpu", "{} / nginx, CPU per call, TCP", 1.15, TCP, NGINX),
    *_of_each_build("cpu", "{} / nginx, CPU per call, unix socket", 1.4, UNIX, NGINX),
    *_of_each_build("cpu", "{} / Go ReverseProxy, CPU per call", 0.4, TCP, GO),
    Goal("runtimes", "Python: CPU us of a no-op call", 25.0, figure("cpu_us", (NO_OP, "Python runtime"))),
    Goal("runtimes", "Node: CPU us of a no-op call", 40.0, figure("cpu_us", (NO_OP, "Node runtime"))),
    Goal(
        "end_to_end",
        "no-op Python function at one connection, p50 in ms",
        0.2,
        figure("p50_ms", ("Python no-op, c = 1", ROUTER)),
    ),
    Goal(
        "overload",
        "goodput at 200 % / peak",
        0.95,
        quotient("calls_per_s", (AT_200, ROUTER), (AT_PEAK, ROUTER)),
        at_least=True,
    ),
    Goal(
        "overload",
        "p99 of the admitted at 200 % / p99 at 85 %",
        2.0,
        quotient("p99_ms", (AT_200, ROUTER), (AT_85, ROUTER)),
    ),
    *_of_each_build("overload", "{}: CPU us of a refusal by rate limit in a flood", 12.0, LIMITED + FLOOD),
    *_of_each_build("overload", "{}: CPU us of a refusal by a full queue in a flood", 12.0, FULL + FLOOD),
    Goal(
        "overload",
        "share of refusals with Retry-After",
        1.0,
        figure("retry_after_share", (AT_200, ROUTER)),
        at_least=True,
    ),
    Goal("many_functions", "bytes of a router's memory a function", 1024.0, figure("function_bytes", TOLD)),
    Goal("many_functions", "CPU per call, 100,000 functions / ten", 1.02, quotient("cpu_us", MANY, TEN)),
    Goal("many_functions", "the same by look-ups alone", 1.02, looked_up),
    Goal("many_functions", "ms to tell a router 100,000 functions again", 2000.0, figure("told_ms", TOLD)),
    Goal("many_functions", "CPU ms of the longest turn meanwhile", 5.0, figure("turn_ms", TURNS)),
    Goal("many_functions", "ms of the longest call meanwhile", 5.0, figure("max_ms", TOLD)),
    Goal(
        "limits",
        "CPU per call, with a token and limits / without",
        1.05,
        figure("ratio", (limits.WITH, ROUTER)),
    ),
    Goal(
        "limits",
        "decisions a second, in the process",
        1_000_000.0,
        figure("decisions_per_s", (limits.ALONE, ROUTER)),
        at_least=True,
    ),
    Goal("load", "failed calls", 0.0, failures),
    Goal("load", "warm call / bare server, p50", 2.5, quotient("p50_ms", WARM, DIRECT)),
    Goal("load", "warm call / bare server, p99", 3.0, quotient("p99_ms", WARM, DIRECT)),
    Goal("load", "cold start / start of the runtime alone, p50", 2.0, quotient("p50_ms", COLD, START)),
    Goal("load", "cold start / start of the runtime alone, p99", 3.0, quotient("p99_ms", COLD, START)),
    Goal("load", "mixed call / bare server, p50", 3.0, quotient("p50_ms", MIXED, DIRECT)),
    Goal(
        "load",
        "call in a burst, p99 / start of the runtime alone, p99",
        10.0,
        quotient("p99_ms", BURST, START),
    ),
    Goal("cold", "failed calls", 0.0, failures),
    *(
        Goal("cold", f"{case}, {rung}: {percentile} in ms", limit, figure(f"{percentile}_ms", (case, rung)))
        for case in (PROCESS, DOCKER)
        for rung, percentile, limit in (
            (cold_plan.WARM, "p50", 3.0),
            (cold_plan.WARM, "p99", 10.0),
            (cold_plan.PAUSED, "p50", 20.0),
        )
    ),
    *(
        Goal(
            "cold",
            f"{rung} / docker run, p50",
            limit,
            quotient("p50_ms", (DOCKER, rung), (DOCKER, cold_plan.RUN)),
        )
        for rung, limit in ((cold_plan.WARM, 0.02), (cold_plan.PAUSED, 0.1), (cold_plan.CREATED, 1.5))
    ),
    Goal("decision", "a decision: CPU in ms", 1.0, figure("cpu_ms", (decision.CASE, decision.DEMAND))),
    Goal("decision", "a decision: CPU in ms, p99", 1.0, figure("p99_ms", (decision.CASE, decision.DEMAND))),
    Goal(
        "moved",
        "ms that a slot at the other router adds to a call, p50",
        1.5,
        figure("p50_added_ms", (moved.SELDOM, moved.ELSEWHERE)),
    ),
    Goal("knative", "failed calls", 0.0, failures),
    *(
        Goal("knative", f"{case}, {name}: p95 added in ms", 10.0, figure("p95_added_ms", (case, name)))
        for case in (knative.STEADY, knative.REDEPLOY)
        for name in knative.NAMES.values()
    ),
)


def verdicts(result: Result) -> list[Verdict]:
    return [Verdict(goal, goal.measure(result)) for goal in GOALS if goal.question == result.question]
