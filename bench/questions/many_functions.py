"""What 99,990 functions that nobody calls cost those that are called, and what it costs to tell of them."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import accumulate, cycle, islice
from pathlib import Path
from random import Random
from statistics import median
from typing import NamedTuple

from bench.contenders.all import Field
from bench.contenders.base import Running, ready
from bench.contenders.router import POOL_LOG, SLOTS, Table, routers
from bench.feed_stub import FixedFunction
from bench.figures import Result, Row
from bench.measure import interleave, steady, warm_up
from bench.openloop import Generator, generator
from bench.plan import OPEN_LOOP_OVERHEAD_S, WARM_UP_S, Plan
from bench.questions.latency import GRACE_S, note
from bench.request import SMALL_BYTES, path_of
from bench.schedule import Order
from plat.feed import Route, RoutesPart, RouteVersion, decode_to_router, encode, whole_table
from router.access.identity import Identities
from router.admission import Admission
from router.limits.limiter import Limiter
from router.routes import RouteTable
from router.target import LIVE, Target

FUNCTION = "t90"
FEW, MANY = 10, 100_000
POPULAR = 300
"""Functions called in turn where look-ups are measured alone, by Zipf popularity; of ten, all."""

AGAIN_S = 0.05
RATE, CONNECTIONS = 2000.0, 32
CPU_RATE, CPU_CONNECTIONS = 5120.0, 64
LOOK_UPS = 100_000
LOOK_UP_S = 0.25

TEN, HUNDRED_THOUSAND, TOLD_AGAIN = "10 functions", "100,000 functions", "100,000, told again and again"
CASE_CPU = f"one function called, {CPU_RATE:.0f}/s"
CASE_ADMIT = "in the process, without sockets"
CASE_TURNS = f"{MANY:,} functions told of, in the process"
FIRST_TIME, AGAIN = "the first time", "again"
CASE_LATENCY = f"one function called, open loop, {RATE:.0f}/s"

HOW = f"""
Real routers: one knows {FEW} functions, one {MANY:,}, of which one is called; they are called in turn.
A third knows as many, and is told its whole table again {AGAIN_S * 1000:.0f} ms after it has been told
it, for ever: it is started and called when the others' runs are over. Memory is what a router's
resident set has more than that of the one with {FEW}, by functions. In the process: `Admission.admit`
alone, which looks the function up, for {POPULAR} of {MANY:,} functions (all of the {FEW}) by Zipf
popularity, {LOOK_UPS} at a time, in turn. Telling is timed by the pool, to its last part; a router is
at most its socket's buffer behind. The longest call is of each run, as the client sees it; generator,
router, pool and backend share two cores, so compare it with that of the router that is told nothing.
Turns: the CPU time that a router takes between two turns of its event loop.
"""


class Told(NamedTuple):
    """A router, and the log where its pool says how long telling took."""

    running: Running
    log: Path


def ask(field: Field, plan: Plan) -> Result:
    result = Result("many_functions", HOW)
    result.not_measured = ["functions with many versions each", "many functions called at once"]
    seconds = plan.run_s("many_functions", 5, before_s=plan.repeats * 2 * LOOK_UP_S + 6)
    with ExitStack() as stack:
        source = stack.enter_context(generator())
        few = stack.enter_context(_router(field, TEN, Table(FEW - 1)))
        many = stack.enter_context(_router(field, HUNDRED_THOUSAND, Table(MANY - 1)))
        _memory(few, many, result)
        _cpu(field, plan, [few.running, many.running], seconds, result)
        _latency(source, plan, [few, many], seconds, result)
        again = stack.enter_context(_router(field, TOLD_AGAIN, Table(MANY - 1, AGAIN_S)))
        _latency(source, plan, [again], seconds, result)
        _memory(few, again, result)
    _admitting(plan, result)
    _turns(plan, result)
    return result


@contextmanager
def _router(field: Field, name: str, table: Table) -> Iterator[Told]:
    folder = field.folder / re.sub(r"\W+", "-", name)
    functions = [FixedFunction(FUNCTION, str(field.upstreams[FUNCTION]), SLOTS)]
    with routers(folder, functions, table=table) as (plat, process, log):
        running = ready(plat._replace(name=name), [FUNCTION], process, log)
        yield Told(running, folder / POOL_LOG)


def _memory(few: Told, many: Told, result: Result) -> None:
    more = _resident_bytes(many.running) - _resident_bytes(few.running)
    result.row(CASE_LATENCY, many.running.name).add(function_bytes=more / (MANY - FEW))


def _resident_bytes(running: Running) -> int:
    (pid,) = running.roots
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match is not None
    return int(match[1]) * 1024


def _cpu(field: Field, plan: Plan, pair: list[Running], seconds: float, result: Result) -> None:
    warm_up(pair, FUNCTION, field.folder, WARM_UP_S)

    def run(running: Running) -> None:
        row = result.row(CASE_CPU, running.name)
        steady(
            running, FUNCTION, row, field.folder, rate=CPU_RATE, connections=CPU_CONNECTIONS, seconds=seconds
        )

    interleave(pair, plan.repeats, run)


def _latency(source: Generator, plan: Plan, told: list[Told], seconds: float, result: Result) -> None:
    def run(each: Told) -> None:
        before = len(_told_ms(each.log))
        order = Order(
            host="127.0.0.1",
            port=each.running.port,
            target=path_of(FUNCTION),
            rate=RATE,
            seconds=max(1.0, seconds - OPEN_LOOP_OVERHEAD_S),
            connections=CONNECTIONS,
            request_bytes=SMALL_BYTES,
            grace_s=GRACE_S,
        )
        outcome = source.perform(order)
        note(result, CASE_LATENCY, each.running.name, RATE, outcome)
        row = result.row(CASE_LATENCY, each.running.name)
        if times := _told_ms(each.log)[before:]:
            row.add(told_ms=median(times))

    interleave(told, plan.repeats, run)


def _told_ms(log: Path) -> list[float]:
    return [float(seconds) * 1000 for seconds in re.findall(r"told in ([\d.]+)\n", log.read_text())]


# --- alone


def _admitting(plan: Plan, result: Result) -> None:
    sizes = {TEN: FEW, HUNDRED_THOUSAND: MANY}
    admissions = {name: admission(count) for name, count in sizes.items()}
    calls = {name: targets(count) for name, count in sizes.items()}

    def run(name: str) -> None:
        _time(admissions[name], calls[name], result.row(CASE_ADMIT, name))

    for name in sizes:
        _time(admissions[name], calls[name], Row("", ""))
    interleave(list(sizes), 4 * plan.repeats, run)


def admission(functions: int) -> Admission:
    """Knows so many, all of them public."""
    table = RouteTable()
    for each in routes(functions):
        table.put(each)
    return Admission(table, Identities(), Limiter(), 1_000_000)


def routes(functions: int) -> Iterator[Route]:
    for number in range(functions):
        versions = (RouteVersion(f"{number:016x}", 1, 1, 30.0),)
        yield Route(f"function-{number:06}", 1, False, "public", 60.0, None, None, versions)


def targets(functions: int) -> list[Target]:
    """Of `POPULAR` of the functions, or all; the first is called most."""
    chance = Random(1)
    numbers = chance.sample(range(functions), min(POPULAR, functions))
    weights = list(accumulate(1 / rank for rank in range(1, len(numbers) + 1)))
    popular = [Target(f"function-{each:06}", LIVE, "/function/x", "/") for each in numbers]
    return list(islice(cycle(chance.choices(popular, cum_weights=weights, k=LOOK_UPS // 10)), LOOK_UPS))


def _time(asked: Admission, calls: list[Target], row: Row) -> None:
    admit = asked.admit
    began = time.perf_counter()
    for target in calls:
        admit(target, None, 0.0)
    row.add(admit_us=(time.perf_counter() - began) / len(calls) * 1e6)


def _turns(plan: Plan, result: Result) -> None:
    """What a router does between two turns of its loop, in CPU time: other work is not in it."""
    messages = [encode(each) for each in whole_table([], routes(MANY)) if isinstance(each, RoutesPart)]
    for _ in range(plan.repeats):
        table = RouteTable()
        for case in (FIRST_TIME, AGAIN):
            turns = list(_hear(table, messages))
            result.row(CASE_TURNS, case).add(turn_ms=max(turns) * 1000, all_turns_ms=sum(turns) * 1000)


def _hear(table: RouteTable, messages: list[bytes]) -> Iterator[float]:
    """Seconds of CPU of each turn, as `router.feed` does them."""
    table.begin()
    for data in messages:
        began = time.thread_time()
        part = decode_to_router(data)
        assert isinstance(part, RoutesPart)
        for route in part.routes:
            table.put(route)
        yield time.thread_time() - began
    began = time.thread_time()
    for _ in table.end():
        yield time.thread_time() - began
        began = time.thread_time()
