"""What the garbage collector costs the slowest calls: the router as shipped, and with it set otherwise."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.collector import COLLECT, READ, Collected, reported
from bench.contenders.all import Field
from bench.contenders.base import Running, ready
from bench.contenders.router import SLOTS, routers
from bench.feed_stub import FixedFunction
from bench.figures import Result, Row
from bench.measure import interleave
from bench.openloop import Generator, generator
from bench.plan import OPEN_LOOP_OVERHEAD_S, WARM_UP_S, Plan
from bench.processes import accepts, python, until
from bench.questions.latency import GRACE_S, note
from bench.request import SMALL_BYTES, path_of
from bench.schedule import Order
from bench.watched_router import DISABLED, SHIPPED, UNFROZEN

FUNCTION = "t90"
CONNECTIONS = 64
FULL = "a full collection, asked for"
TITLES = {SHIPPED: "as shipped", DISABLED: "collector off", UNFROZEN: "without gc.freeze"}


class Load(NamedTuple):
    """What is called."""

    title: str
    target: str
    own_ids: bool
    rate: float
    """Half of what generator, router and backend reach together on two cores, or less."""
    length: float
    """Of its runs beside the others'."""


LOADS = (
    Load("the same head", path_of(FUNCTION), False, 7000.0, 0.7),
    Load("each call its own head", path_of(FUNCTION), True, 7000.0, 1.3),
    Load("streaming path", f"{path_of(FUNCTION)}/%20", False, 2500.0, 1.0),
)
"""Ever fewer of the router's short cuts: heads it remembers, heads it must read, and calls that go through
aiohttp (the fast path leaves escapes in a path to it)."""

HOW = f"""
The real router three times, called in turn by the open-loop generator over {CONNECTIONS} connections, at a
fixed rate of at most half of what generator, router and backend reach together on two cores: as shipped,
with the collector off (gc.disable), and with what gc.freeze has set aside given back (gc.unfreeze), both
from when it was ready. Each process counts its collections (gc.get_stats) and times them (gc.callbacks),
from the opening of a run's connections to its last answer: "ms in all" is how long the collector stopped
the router in a run. The same head: all calls carry the same headers. Its own head: each has an X-Request-Id
that no other has. Streaming path: calls that go through aiohttp. Full collections are rare, so each router is
made to do one in the end, without load.
"""


class Watched(NamedTuple):
    """A router and the socket where it tells what its collector does."""

    title: str
    running: Running
    report: Path


def ask(field: Field, plan: Plan) -> Result:
    result = Result("collector", HOW)
    result.not_measured = [
        "connections that come and go",
        "thousands of functions",
        "routers that ran for days",
    ]
    seconds = plan.run_s("collector", len(LOADS) * len(TITLES), overhead_s=OPEN_LOOP_OVERHEAD_S)
    with generator() as source, _variants(field) as variants:
        for load in LOADS:
            _one(source, plan, variants, load, seconds * load.length, result)
        _full(plan, variants, result)
    return result


@contextmanager
def _variants(field: Field) -> Iterator[list[Watched]]:
    folder = field.folder / "collector"
    folder.mkdir()
    with ExitStack() as stack:
        address = str(field.upstreams[FUNCTION])
        yield [stack.enter_context(_watched(folder / variant, variant, address)) for variant in TITLES]


@contextmanager
def _watched(folder: Path, variant: str, address: str) -> Iterator[Watched]:
    report = folder / "report.sock"
    command = python("bench.watched_router", "--variant", variant, "--report", str(report))
    functions = [FixedFunction(FUNCTION, address, SLOTS)]
    with routers(folder, functions, command=command) as (running, process, log):
        until(lambda: accepts(report), process, log, "the collector's report")
        yield Watched(TITLES[variant], ready(running, [FUNCTION], process, log), report)


def _one(
    source: Generator, plan: Plan, variants: list[Watched], load: Load, seconds: float, result: Result
) -> None:
    for each in variants:
        source.perform(_order(each, load, WARM_UP_S))

    def run(each: Watched) -> None:
        reported(each.report, READ)
        outcome = source.perform(_order(each, load, seconds))
        collected = reported(each.report, READ)
        case = f"{load.title}, {load.rate:.0f}/s"
        note(result, case, each.title, load.rate, outcome)
        row = result.row(case, each.title)
        row.add(calls=outcome.planned)
        note_collected(row, collected)

    interleave(variants, plan.repeats, run)


def _full(plan: Plan, variants: list[Watched], result: Result) -> None:
    """They are too rare to meet one in every run."""

    def run(each: Watched) -> None:
        reported(each.report, READ)
        note_collected(result.row(FULL, each.title), reported(each.report, COLLECT))

    interleave(variants, plan.repeats, run)


def _order(each: Watched, load: Load, seconds: float) -> Order:
    return Order(
        host="127.0.0.1",
        port=each.running.port,
        target=load.target,
        rate=load.rate,
        seconds=seconds,
        connections=CONNECTIONS,
        request_bytes=SMALL_BYTES,
        grace_s=GRACE_S,
        own_ids=load.own_ids,
    )


def note_collected(row: Row, collected: Collected) -> None:
    row.add(
        collections=collected.collections,
        full_collections=collected.full,
        garbage=collected.garbage,
        collector_ms=collected.total_ms,
        longest_ms=collected.longest_ms,
    )
