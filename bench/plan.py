"""How long each question may take, and so how long each of its runs is. Decides only."""

from msgspec import Struct

QUESTIONS = (
    "cpu",
    "peak",
    "latency",
    "collector",
    "overload",
    "runtimes",
    "end_to_end",
    "routers",
    "many_functions",
    "limits",
)

RUN_OVERHEAD_S = 0.15
"""What a run takes beside the load itself: a program's start, its connections, /proc."""

OPEN_LOOP_OVERHEAD_S = 0.07
"""The same for the open-loop generator, which is there already."""

SHORTEST_S = 0.25
LONGEST_S = 4.0
WARM_UP_S = 0.3


class Plan(Struct, frozen=True):
    """Seconds a question may take, and how often each run is repeated."""

    repeats: int
    budgets_s: dict[str, float]
    quick: bool

    def run_s(
        self,
        question: str,
        runs: int,
        before_s: float | None = None,
        overhead_s: float = RUN_OVERHEAD_S,
    ) -> float:
        """The length of each of `runs` different runs, repeated.

        `before_s`: what the question takes before, in all; by default a warm-up of each.
        """
        if before_s is None:
            before_s = runs * (WARM_UP_S + overhead_s)
        each = (self.budgets_s[question] - before_s) / (runs * self.repeats) - overhead_s
        return min(LONGEST_S, max(SHORTEST_S, each))


FULL = Plan(
    repeats=5,
    budgets_s={
        "cpu": 150.0,
        "peak": 75.0,
        "latency": 314.0,
        "collector": 70.0,
        "overload": 75.0,
        "runtimes": 25.0,
        "end_to_end": 25.0,
        "routers": 25.0,
        "many_functions": 45.0,
        "limits": 65.0,
    },
    quick=False,
)
QUICK = Plan(
    repeats=2,
    budgets_s={
        "cpu": 18.0,
        "peak": 16.0,
        "latency": 22.0,
        "collector": 14.0,
        "overload": 20.0,
        "runtimes": 8.0,
        "end_to_end": 12.0,
        "routers": 8.0,
        "many_functions": 12.0,
        "limits": 4.5,
    },
    quick=True,
)
