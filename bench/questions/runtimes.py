"""CPU per call of a runtime's own process, for a function that does nothing."""

from contextlib import ExitStack

from bench import accounting, fixedrate
from bench.contenders.all import Field
from bench.figures import Result
from bench.instances import RUNTIMES, Instance, instance, missing
from bench.measure import add_cpu, interleave, judge
from bench.plan import WARM_UP_S, Plan
from bench.request import SMALL_BYTES

CONCURRENCIES = (1, 8)
RATE = 3000.0
COMPILED_S = 2.0
"""Seconds of calls until Node has compiled what it runs often."""
HOW = """
The runtime's process alone, without a router: h2load calls its unix socket at a fixed rate over as many
connections as the function's concurrency. The handler returns nothing.
"""


def ask(field: Field, plan: Plan) -> Result:
    result = Result("runtimes", HOW, not_measured=["event = http", "asynchronous handlers", "streaming"])
    result.skipped = {f"{name} runtime": reason for name in RUNTIMES if (reason := missing(name))}
    names = [name for name in RUNTIMES if f"{name} runtime" not in result.skipped]
    seconds = plan.run_s("runtimes", len(names) * len(CONCURRENCIES))
    for concurrency in CONCURRENCIES:
        with ExitStack() as stack:
            started = [
                stack.enter_context(
                    instance(field.folder / f"{name}-{concurrency}", name, concurrency=concurrency)
                )
                for name in names
            ]
            _one(field, plan, started, concurrency, seconds, result)
    return result


def _one(
    field: Field, plan: Plan, instances: list[Instance], concurrency: int, seconds: float, result: Result
) -> None:
    case = f"concurrency {concurrency}, {RATE:.0f}/s"

    def load(each: Instance, seconds: float) -> fixedrate.Steady:
        return fixedrate.run(
            "http://localhost/",
            rate=RATE,
            connections=concurrency,
            seconds=seconds,
            request_bytes=SMALL_BYTES,
            folder=field.folder,
            socket=str(each.socket),
        )

    def run(each: Instance) -> None:
        row = result.row(case, f"{each.runtime} runtime")
        before = accounting.read([each.pid])
        done = load(each, seconds)
        add_cpu(row, accounting.spent(before, accounting.read([each.pid])), done.calls)
        row.add(calls_per_s=done.calls_per_s)
        judge(row, done, RATE)

    for each in instances:
        load(each, WARM_UP_S if plan.quick else COMPILED_S)
    interleave(instances, plan.repeats, run)
