"""The goals, each a ratio or a bound over figures of one run on one machine. Decides only."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from bench.figures import Result, exact
from bench.questions.overload import AT_85, AT_200, AT_PEAK, FULL, LIMITED

Results = Mapping[str, Result]
ROUTER, NGINX, GO = "plat router", "nginx", "Go ReverseProxy"
TCP, UNIX = "90 B, TCP, 5120/s", "90 B, unix socket, 5120/s"


class Goal(NamedTuple):
    """`limit` is the most that `measure` may give (or the least, if `at_least`)."""

    question: str
    text: str
    limit: float
    measure: Callable[[Result], float | None]
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


def ratio(figure: str, case: str, one: str, other: str) -> Callable[[Result], float | None]:
    def measure(result: Result) -> float | None:
        above, below = result.median(case, one, figure), result.median(case, other, figure)
        return above / below if above is not None and below else None

    return measure


def figure(name: str, case: str, contender: str) -> Callable[[Result], float | None]:
    return lambda result: result.median(case, contender, name)


def between(name: str, case: str, base: str) -> Callable[[Result], float | None]:
    """The router's figure in one case over that in another."""

    def measure(result: Result) -> float | None:
        above, below = result.median(case, ROUTER, name), result.median(base, ROUTER, name)
        return above / below if above is not None and below else None

    return measure


GOALS = (
    Goal("cpu", "router / nginx, CPU per call, TCP", 1.15, ratio("cpu_us", TCP, ROUTER, NGINX)),
    Goal("cpu", "router / nginx, CPU per call, unix socket", 1.4, ratio("cpu_us", UNIX, ROUTER, NGINX)),
    Goal("cpu", "router / Go ReverseProxy, CPU per call, TCP", 0.4, ratio("cpu_us", TCP, ROUTER, GO)),
    Goal(
        "runtimes",
        "Python runtime, CPU us of a no-op call",
        25.0,
        figure("cpu_us", "concurrency 1, 3000/s", "Python runtime"),
    ),
    Goal(
        "runtimes",
        "Node runtime, CPU us of a no-op call",
        40.0,
        figure("cpu_us", "concurrency 1, 3000/s", "Node runtime"),
    ),
    Goal(
        "end_to_end",
        "no-op Python function at one connection, p50 in ms",
        0.2,
        figure("p50_ms", "Python no-op, c = 1", ROUTER),
    ),
    Goal(
        "overload",
        "goodput at 200 % / peak",
        0.95,
        between("calls_per_s", AT_200, AT_PEAK),
        at_least=True,
    ),
    Goal("overload", "p99 of the admitted at 200 % / p99 at 85 %", 2.0, between("p99_ms", AT_200, AT_85)),
    Goal("overload", "CPU us of a refusal by rate limit", 12.0, figure("cpu_us", LIMITED, ROUTER)),
    Goal("overload", "CPU us of a refusal by a full queue", 12.0, figure("cpu_us", FULL, ROUTER)),
    Goal(
        "overload",
        "share of refusals with Retry-After",
        1.0,
        figure("retry_after_share", AT_200, ROUTER),
        at_least=True,
    ),
)


def verdicts(result: Result) -> list[Verdict]:
    return [Verdict(goal, goal.measure(result)) for goal in GOALS if goal.question == result.question]
