"""CPU per call of each contender, all at the same rate."""

from typing import NamedTuple

from bench.contenders.all import Field
from bench.contenders.base import Running
from bench.figures import Result
from bench.measure import interleave, steady, warm_up
from bench.plan import WARM_UP_S, Plan
from bench.request import CASES

UNIX_ONLY = ("plat router", "plat router, compiled", "nginx", "HAProxy", "Go ReverseProxy")


class Rate(NamedTuple):
    function: str
    calls_per_s: float
    connections: int
    """Few where calls are few: each connection's first call comes at once."""


RATES = (
    Rate("t90", 5120, 64),
    Rate("x90", 5120, 64),
    Rate("t10k", 2560, 64),
    Rate("t1m", 128, 16),
    Rate("u10k", 1280, 64),
    Rate("u1m", 64, 8),
)
"""All contenders must reach them on two cores, beside the generator and the backend."""

QUICK_RATES = 3

HOW = """
Fixed rate from h2load over keep-alive connections, the same for all; CPU is user + system time
of all processes of the contender from the scheduler's accounting, divided by the calls answered.
One nginx that answers from its configuration is the upstream of all. Small request: a POST of 90 B
with five headers; large answers are to a GET. nginx and HAProxy have one worker and add no header;
Go and Caddy have all cores.
"""


def ask(field: Field, plan: Plan) -> Result:
    result = Result("cpu", HOW, skipped=field.skipped, not_measured=["TLS", "HTTP/2", "chunked bodies"])
    rates = RATES[:QUICK_RATES] if plan.quick else RATES
    runs = sum(len(_contenders(field, each)) for each in rates)
    # Half of the time for the two cases that the goals are about.
    seconds = plan.run_s("cpu", runs)
    for rate in rates:
        factor = 1.5 if CASES[rate.function].answer_bytes == CASES[rate.function].request_bytes else 0.75
        _one(field, plan, rate, seconds * factor, result)
    return result


def _contenders(field: Field, rate: Rate) -> list[Running]:
    tcp = CASES[rate.function].transport == "tcp"
    return [each for each in field.running if tcp or each.name in UNIX_ONLY]


def _one(field: Field, plan: Plan, rate: Rate, seconds: float, result: Result) -> None:
    contenders = _contenders(field, rate)
    case = f"{CASES[rate.function].title}, {rate.calls_per_s:.0f}/s"
    warm_up(contenders, rate.function, field.folder, WARM_UP_S, min(500, rate.calls_per_s))

    def run(contender: Running) -> None:
        row = result.row(case, contender.name)
        steady(
            contender,
            rate.function,
            row,
            field.folder,
            rate=rate.calls_per_s,
            connections=rate.connections,
            seconds=seconds,
        )

    interleave(contenders, plan.repeats, run)
