"""What a load run saw: response times by scenario, and the Result that is made of them. Pure data."""

import statistics

from msgspec import Struct, field

from bench import workload
from bench.figures import Result
from bench.schedule import percentile

CASES = {
    workload.WARM: ("warm call", "plat"),
    workload.DIRECT: ("warm call", "aiohttp, called directly"),
    workload.COLD: ("cold start", "plat"),
    workload.START: ("cold start", "runtime process alone"),
    workload.MIXED: ("mixed functions, Zipf", "plat"),
    workload.BURST: (f"bursts of {workload.BURST_CALLS}", "plat"),
}
"""Scenario -> case and contender of its row."""

ENOUGH = 20
"""Fewer samples say nothing: the goal counts as not measured."""

HOW = """
Locust drives `plat up` with the process driver, all scenarios at the same time. Warm calls alternate with
calls to a bare aiohttp server, from the same users. A cold start is a call after the last instance of the
function has gone; just before it, the runtime's process is started alone until its health check answers.
Mixed: twelve functions, popular by Zipf's law, their first calls included. Bursts: calls at once to a
function that had time to scale down in between. Locust's own time is in every figure.
"""


class Samples(Struct):
    """Response times in milliseconds, and failures, by scenario."""

    times_ms: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)

    def answered(self, name: str, milliseconds: float) -> None:
        self.times_ms.setdefault(name, []).append(milliseconds)

    def failed(self, name: str) -> None:
        self.failures[name] = self.failures.get(name, 0) + 1


def result(samples: Samples) -> Result:
    answer = Result("load", HOW, not_measured=["containers", "several machines", "several routers"])
    for name, (case, contender) in CASES.items():
        row, times = answer.row(case, contender), samples.times_ms.get(name, [])
        row.add(count=len(times), failures=samples.failures.get(name, 0))
        if len(times) < ENOUGH:
            row.note(f"{len(times)} samples are too few to judge: let it run for longer")
        else:
            row.add(p50_ms=statistics.median(times), p99_ms=percentile(sorted(times), 0.99))
    return answer
