"""One run against one contender, with the CPU it cost; and runs in turn. Used by every question."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from bench import accounting, closedloop, fixedrate
from bench.contenders.base import Running
from bench.figures import Row
from bench.request import HEADERS, size_of

T = TypeVar("T")

RATE_REACHED = 0.95


def interleave(contenders: Sequence[T], repeats: int, run: Callable[[T], None]) -> None:
    """A B C, A B C, …: what the machine does meanwhile meets all of them."""
    for _ in range(repeats):
        for contender in contenders:
            run(contender)


def steady(
    contender: Running,
    function: str,
    row: Row,
    folder: Path,
    *,
    rate: float,
    connections: int,
    seconds: float,
    headers: Mapping[str, str] = HEADERS,
) -> None:
    """Add the CPU per call at a fixed rate to the row: user, system and total, in microseconds."""
    pids = contender.pids()
    before = accounting.read(pids)
    load = fixedrate.run(
        contender.url(function),
        rate=rate,
        connections=connections,
        seconds=seconds,
        request_bytes=size_of(function),
        folder=folder,
        headers=headers,
    )
    add_cpu(row, accounting.spent(before, accounting.read(pids)), load.calls)
    row.add(calls_per_s=load.calls_per_s)
    judge(row, load, rate)


def add_cpu(row: Row, cpu: accounting.Cpu, calls: int) -> None:
    scale = 1e6 / max(calls, 1)
    row.add(cpu_us=cpu.total_s * scale, user_us=cpu.user_s * scale, system_us=cpu.system_s * scale)


def judge(row: Row, load: fixedrate.Steady, rate: float) -> None:
    if load.good != load.calls:
        row.note(f"{load.calls - load.good} of {load.calls} calls failed in a run")
    if load.calls_per_s < RATE_REACHED * rate:
        row.note(f"{load.calls_per_s / rate:.0%} of the rate in a run")


def closed(
    contender: Running, function: str, row: Row, folder: Path, *, connections: int, seconds: float
) -> closedloop.Peak:
    """Add a closed loop's calls a second, CPU per call and latency to the row."""
    pids = contender.pids()
    before = accounting.read(pids)
    peak = closedloop.run(
        contender.url(function),
        connections=connections,
        seconds=seconds,
        request_bytes=size_of(function),
        folder=folder,
    )
    add_cpu(row, accounting.spent(before, accounting.read(pids)), peak.calls)
    row.add(calls_per_s=peak.calls_per_s, p50_ms=peak.p50_ms, p99_ms=peak.p99_ms)
    if peak.errors:
        row.note(f"{peak.errors} of {peak.calls} calls failed in a run")
    return peak


def warm_up(
    contenders: Iterable[Running], function: str, folder: Path, seconds: float, rate: float = 500
) -> None:
    """Calls that are not counted: connections open, code is warm."""
    for contender in contenders:
        steady(contender, function, Row("", ""), folder, rate=rate, connections=64, seconds=seconds)
