"""Calls a second in a closed loop, and the latency at one connection."""

from bench.contenders.all import Field
from bench.contenders.base import Running
from bench.figures import Result
from bench.measure import closed, interleave, warm_up
from bench.plan import WARM_UP_S, Plan
from bench.request import CASES

CONNECTIONS = (64, 1)
FUNCTION = "t90"
HOW = """
Closed loop from wrk, one thread: each connection sends its next call when the last is answered, so
generator, contender and backend share the machine's cores, and a contender that has all cores to
itself would do more.
"""


def ask(field: Field, plan: Plan) -> Result:
    result = Result(
        "peak", HOW, skipped=field.skipped, not_measured=["bodies over 90 B", "more than one worker"]
    )
    chosen = CONNECTIONS[:1] if plan.quick else CONNECTIONS
    seconds = plan.run_s("peak", len(chosen) * len(field.running))
    for connections in chosen:
        _one(field, plan, connections, seconds, result)
    return result


def _one(field: Field, plan: Plan, connections: int, seconds: float, result: Result) -> None:
    case = f"{CASES[FUNCTION].title}, c = {connections}"
    warm_up(field.running, FUNCTION, field.folder, WARM_UP_S)

    def run(contender: Running) -> None:
        row = result.row(case, contender.name)
        closed(contender, FUNCTION, row, field.folder, connections=connections, seconds=seconds)

    interleave(field.running, plan.repeats, run)
