"""Two router processes on one port beside one, and beside nginx with one worker."""

from bench.contenders.all import Field
from bench.contenders.base import Running
from bench.contenders.router import SLOTS, routers
from bench.feed_stub import FixedFunction
from bench.figures import Result
from bench.measure import closed, interleave, steady, warm_up
from bench.plan import WARM_UP_S, Plan

FUNCTION = "t90"
RATE = 5120.0
CONNECTIONS = 64
HOW = """
`plat router` twice on one port (SO_REUSEPORT). The kernel deals connections out, not calls. On a machine with
two cores, generator and backend compete with both; more cores show more.
"""


def ask(field: Field, plan: Plan) -> Result:
    result = Result("routers", HOW, not_measured=["more than two routers"])
    functions = [FixedFunction(FUNCTION, str(field.upstreams[FUNCTION]), SLOTS)]
    with routers(field.folder / "two-routers", functions, count=2) as (two, _, _):
        contenders = [each for each in field.running if each.name in ("plat router", "nginx")]
        contenders.insert(1, two)
        warm_up(contenders, FUNCTION, field.folder, WARM_UP_S)
        seconds = plan.run_s("routers", 2 * len(contenders))
        _peak(field, plan, contenders, seconds, result)
        _cpu(field, plan, contenders, seconds, result)
    return result


def _peak(field: Field, plan: Plan, contenders: list[Running], seconds: float, result: Result) -> None:
    def run(contender: Running) -> None:
        row = result.row(f"closed loop, c = {CONNECTIONS}", contender.name)
        closed(contender, FUNCTION, row, field.folder, connections=CONNECTIONS, seconds=seconds)

    interleave(contenders, plan.repeats, run)


def _cpu(field: Field, plan: Plan, contenders: list[Running], seconds: float, result: Result) -> None:
    def run(contender: Running) -> None:
        row = result.row(f"{RATE:.0f}/s, c = {CONNECTIONS}", contender.name)
        steady(
            contender,
            FUNCTION,
            row,
            field.folder,
            rate=RATE,
            connections=CONNECTIONS,
            seconds=seconds,
        )

    interleave(contenders, plan.repeats, run)
