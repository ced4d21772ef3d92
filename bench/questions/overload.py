"""Twice what a function can do: what is still answered, how late, and what a refusal costs."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType

from bench import accounting, request
from bench.contenders.all import Field
from bench.contenders.base import Running, ready
from bench.contenders.router import COMMAND, COMPILED_NAME, NAME, compiled_command, routers
from bench.feed_stub import FixedFunction
from bench.figures import Result, Row, spread
from bench.measure import add_cpu, closed
from bench.openloop import Generator, generator
from bench.plan import Plan
from bench.processes import accepts, python, running, until
from bench.schedule import Order, Outcome
from plat.address import Address

SLOTS = 16
DELAY_S = 0.005
CONNECTIONS = 2000
"""More than slots and the router's queue take together, so that the queue is the router's."""

SETTLE_S = 1.0
"""The router takes a burst for a burst at first, and lets it wait."""

HELD = 16
FLOOD_CONNECTIONS = 64
REFUSAL_RATE = 4000.0
AT_PEAK, AT_85, AT_200 = "closed loop (peak)", "open loop, 85 %", "open loop, 200 %"
LIMITED, FULL = "refusals by rate limit", "refusals by a full queue"
FLOOD = ", closed loop"
"""Added to these cases: as many refusals as the router can make, and not a steady few."""

HOW = f"""
A function with {SLOTS} slots whose every call takes {DELAY_S * 1000:.0f} ms, so its capacity is the
slots', not the router's CPU. Peak: closed loop with as many connections as slots. Then the open-loop
generator over {CONNECTIONS} connections, at 85 % and at 200 % of the peak, with the router's default
settings; latencies count from the second second on, when the router has seen that this is no burst.
Goodput counts answers 200 that came while calls came in. The cost of a refusal is measured by
itself: a function over its rate limit, and one whose queue is full, at {REFUSAL_RATE:.0f} calls a second, and
in a closed loop over {FLOOD_CONNECTIONS} connections, which is what a flood is.
"""


def ask(field: Field, plan: Plan) -> Result:
    result = Result("overload", HOW)
    result.not_measured = ["overload of the router's own CPU", "several functions at a time", "slow clients"]
    folder = field.folder / "overload"
    folder.mkdir()
    with ExitStack() as stack:
        source, address = stack.enter_context(generator()), stack.enter_context(slow_backend(folder))
        plat = stack.enter_context(_router(folder / "a", address))
        refusing = [stack.enter_context(each) for each in _refusing(field, folder, address)]
        seconds = plan.run_s("overload", 3 + 2 * len(refusing))
        for each in refusing:
            stack.enter_context(waiting(each.port, "full", HELD))
        for _ in range(plan.repeats):
            _round(field, source, plat, seconds, result)
            for each in refusing:
                _refusals(field, source, each, seconds / 2, result)
    return result


def _refusing(field: Field, folder: Path, address: str) -> Iterator[AbstractContextManager[Running]]:
    """Routers with a short queue."""
    settings = {"QUEUE_LIMIT": str(HELD)}
    yield _router(folder / "b", address, settings)
    if field.get(COMPILED_NAME) is not None:
        (folder / "c").mkdir()
        yield _router(folder / "c", address, settings, compiled_command(folder / "c"), COMPILED_NAME)


@contextmanager
def slow_backend(folder: Path) -> Iterator[str]:
    """Its address."""
    path, log = folder / "slow.sock", folder / "slow.log"
    with running(python("bench.slow_backend", str(path), str(DELAY_S)), log) as process:
        until(lambda: accepts(path), process, log, "the slow backend")
        yield f"unix:{path}"


@contextmanager
def _router(
    folder: Path,
    address: str,
    settings: Mapping[str, str] = MappingProxyType({}),
    command: Sequence[str] = COMMAND,
    name: str = NAME,
) -> Iterator[Running]:
    functions = [
        FixedFunction("slow", address, SLOTS),
        FixedFunction("limited", address, SLOTS, rate=1.0, burst=1),
        FixedFunction("full", address, 0),
    ]
    with routers(folder, functions, settings=settings, command=command) as (plat, process, log):
        yield ready(plat._replace(name=name), {"slow": Address.parse(address)}, process, log)


@contextmanager
def waiting(port: int, function: str, calls: int) -> Iterator[None]:
    """Calls that wait in the function's queue."""
    with ExitStack() as stack:
        data = request.bytes_of(f"127.0.0.1:{port}", request.path_of(function), request.SMALL_BYTES)
        for _ in range(calls):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(data)
        yield


def _round(field: Field, source: Generator, plat: Running, seconds: float, result: Result) -> None:
    peak = closed(plat, "slow", result.row(AT_PEAK, NAME), field.folder, connections=SLOTS, seconds=seconds)
    known = result.row(AT_PEAK, NAME).figures["calls_per_s"]
    capacity = spread(known).median if known else peak.calls_per_s
    for case, factor in ((AT_85, 0.85), (AT_200, 2.0)):
        outcome = source.perform(_order(plat, "slow", capacity * factor, seconds, CONNECTIONS))
        note(result.row(case, NAME), outcome, seconds)


def _order(plat: Running, function: str, rate: float, seconds: float, connections: int) -> Order:
    target = request.path_of(function)
    settle_s = min(SETTLE_S, seconds / 2)
    size = request.SMALL_BYTES
    return Order("127.0.0.1", plat.port, target, rate, seconds, connections, size, settle_s=settle_s)


def note(row: Row, outcome: Outcome, seconds: float) -> None:
    """Goodput, latency of the admitted, and what refusals looked like."""
    refused = outcome.statuses.get("429", 0) + outcome.statuses.get("503", 0)
    good = outcome.statuses.get("200", 0)
    row.add(calls_per_s=outcome.in_time / seconds)
    row.add(**{f"{name}_ms": outcome.latency_ms[name] for name in ("p50", "p99") if outcome.latency_ms})
    note_refusals(row, outcome, refused)
    if (lost := outcome.planned - good - refused) > 0:
        row.note(f"{lost} of {outcome.planned} calls were neither answered nor refused in a run")
    if not outcome.kept:
        row.note("the generator was late in a run")


def note_refusals(row: Row, outcome: Outcome, refused: int) -> None:
    row.add(refused_share=refused / outcome.planned)
    if refused:
        row.add(retry_after_share=outcome.retry_after / refused, refusal_p99_ms=outcome.refusal_ms["p99"])


def _refusals(field: Field, source: Generator, plat: Running, seconds: float, result: Result) -> None:
    for function, case in (("limited", LIMITED), ("full", FULL)):
        _steady_refusals(source, plat, function, seconds, result.row(case, plat.name))
        row = Row(case, plat.name)
        closed(plat, function, row, field.folder, connections=FLOOD_CONNECTIONS, seconds=seconds)
        result.row(case + FLOOD, plat.name).add(cpu_us=row.figures["cpu_us"][0])


def _steady_refusals(source: Generator, plat: Running, function: str, seconds: float, row: Row) -> None:
    pids = plat.pids()
    before = accounting.read(pids)
    outcome = source.perform(_order(plat, function, REFUSAL_RATE, seconds, FLOOD_CONNECTIONS))
    add_cpu(row, accounting.spent(before, accounting.read(pids)), outcome.planned)
    note_refusals(row, outcome, sum(outcome.statuses.get(status, 0) for status in ("429", "503")))
