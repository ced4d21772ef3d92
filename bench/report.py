"""The page and its plots from the stored answers. A pure function: no file, no clock, no process."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from bench.figures import Result, Row, exact, spread
from bench.goals import verdicts
from bench.plot import Bar, Line, Panel, bars, lines


class Column(NamedTuple):
    figure: str
    title: str


class Section(NamedTuple):
    """How a question's answer is shown. The first column is the one that is plotted."""

    title: str
    columns: tuple[Column, ...]
    unit: str


CPU = Column("cpu_us", "CPU us a call")
PARTS = (Column("user_us", "user"), Column("system_us", "system"))
RATE = Column("calls_per_s", "calls a second")
P50, P99 = Column("p50_ms", "p50 ms"), Column("p99_ms", "p99 ms")
P999 = Column("p999_ms", "p99.9 ms")

SECTIONS = {
    "cpu": Section("CPU per call at the same rate", (CPU, *PARTS, RATE), "us"),
    "peak": Section("Peak in a closed loop", (RATE, CPU, P50, P99), "calls a second"),
    "latency": Section(
        "Latency at the same rates, open loop",
        (P99, P50, P999, Column("rate", "calls a second")),
        "p99 in ms",
    ),
    "collector": Section(
        "The garbage collector's part in the slowest calls",
        (
            P999,
            P50,
            P99,
            Column("calls", "calls in a run"),
            Column("collections", "collections"),
            Column("full_collections", "full ones"),
            Column("collector_ms", "ms in all"),
            Column("longest_ms", "ms of the longest"),
            Column("garbage", "objects found in dead cycles"),
        ),
        "p99.9 in ms",
    ),
    "overload": Section(
        "Overload",
        (
            Column("calls_per_s", "answered 200 a second"),
            P50,
            P99,
            Column("refused_share", "share refused"),
            Column("retry_after_share", "of these with Retry-After"),
            Column("refusal_p99_ms", "p99 ms of a refusal"),
            CPU,
        ),
        "answered 200 a second",
    ),
    "runtimes": Section("The runtimes' own processes", (CPU, *PARTS, RATE), "us"),
    "end_to_end": Section("A no-op function end to end", (P50, P99, CPU, RATE), "p50 in ms"),
    "routers": Section("More routers", (RATE, CPU, P50, P99), "calls a second"),
    "many_functions": Section(
        "Many functions",
        (
            CPU,
            Column("admit_us", "us of routing and admitting"),
            Column("function_bytes", "bytes of memory a function"),
            Column("turn_ms", "CPU ms of the longest turn"),
            Column("all_turns_ms", "of all"),
            Column("told_ms", "ms to tell the table again"),
            P50,
            P99,
            P999,
            Column("max_ms", "ms of the longest call"),
        ),
        "us",
    ),
    "limits": Section(
        "Tokens and limits",
        (
            CPU,
            *PARTS,
            Column("ratio", "of that without, in pairs"),
            RATE,
            Column("decisions_per_s", "decisions a second"),
        ),
        "us",
    ),
    "load": Section(
        "The whole platform under Locust",
        (P99, P50, Column("count", "calls"), Column("failures", "failed")),
        "p99 in ms",
    ),
    "cold": Section(
        "Cold starts",
        (
            P50,
            Column("p95_ms", "p95 ms"),
            P99,
            Column("count", "calls"),
            Column("failures", "failed"),
            Column("reached", "a second, answered while calls came"),
            Column("warm_share", "share from a warm instance"),
        ),
        "p50 in ms",
    ),
    "cold_parts": Section("Where a cold start's time goes", (P50, Column("count", "calls")), "ms, median"),
    "moved": Section(
        "A slot that moves between routers",
        (P50, P99, Column("p50_added_ms", "p50 added"), Column("count", "calls")),
        "p50 in ms",
    ),
    "decision": Section(
        "What a decision costs",
        (Column("cpu_ms", "CPU ms"), P99, Column("count", "times")),
        "ms",
    ),
    "knative": Section(
        "Knative's pass bars",
        (
            Column("p95_added_ms", "p95 added, ms"),
            Column("p50_added_ms", "p50 added"),
            Column("p99_added_ms", "p99 added"),
            Column("max_added_ms", "most added"),
            Column("count", "calls"),
            Column("failures", "failed"),
        ),
        "p95 added in ms",
    ),
}
"""In the order of the page."""

INTRODUCTION = """# Results

Made by `make bench`, `make bench-cold` and `make load` from the JSON files beside this page; not edited
by hand. Figures are the median of the repeats [minimum to maximum]; contenders ran in turn (A B C, A B C,
…), so that what the machine did meanwhile met all of them. Compare figures within one table only: other
machines, other days, other figures.
"""

_LEVEL = re.compile(r"(.+) at (\d+)%")


def page(results: Mapping[str, Result]) -> str:
    """The Markdown page. Raises KeyError for a question that has no section."""
    known = [results[name] for name in SECTIONS if name in results]
    missing = [SECTIONS[name].title for name in SECTIONS if name not in results]
    parts = [INTRODUCTION, _goals(known), *(_section(result) for result in known)]
    if missing:
        parts.append(f"## Not measured\n\n{_list(missing)}\n")
    return "\n".join(part for part in parts if part)


def _goals(results: list[Result]) -> str:
    rows = [str(verdict) for result in results for verdict in verdicts(result)]
    return f"## Goals\n\n{_list(rows)}\n" if rows else ""


def _section(result: Result) -> str:
    section = SECTIONS[result.question]
    measured = ", ".join(f"{key} {value}" for key, value in result.machine.items())
    left_out = [f"{name} did not take part: {reason}" for name, reason in result.skipped.items()]
    if result.not_measured:
        left_out.append(f"Not measured: {', '.join(result.not_measured)}")
    parts = [
        f"## {section.title}\n",
        f"{' '.join(result.how.split())}\n",
        "**A quick run: not to be quoted.**\n" if result.quick else "",
        f"Measured: {measured}. Repeats: {_repeats(result)}.\n",
        f"![{section.title}]({result.question}.svg)\n",
        _table(result, section),
        f"\n{_list(left_out)}\n" if left_out else "",
    ]
    return "\n".join(part for part in parts if part)


def _repeats(result: Result) -> int:
    return max((len(values) for row in result.rows for values in row.figures.values()), default=0)


def _table(result: Result, section: Section) -> str:
    columns = [each for each in section.columns if any(each.figure in row.figures for row in result.rows)]
    lines = [
        f"| case | | {' | '.join(each.title for each in columns)} | remarks |",
        f"| --- | --- | {'--- | ' * len(columns)}--- |",
    ]
    for case in result.cases():
        for row in (each for each in result.rows if each.case == case):
            cells = " | ".join(_cell(row, each) for each in columns)
            lines.append(f"| {case} | {row.contender} | {cells} | {'; '.join(row.notes)} |")
    return "\n".join(lines)


def _cell(row: Row, column: Column) -> str:
    values = row.figures.get(column.figure)
    if not values:
        return ""
    low, median, high = spread(values)
    return exact(median) if low == high else f"{exact(median)} [{exact(low)} to {exact(high)}]"


def _list(items: list[str]) -> str:
    return "\n".join(f"* {item}" for item in items)


def plot(result: Result) -> str:
    """The question's SVG: lines where the cases are levels of something, else bars."""
    section = SECTIONS[result.question]
    figure = section.columns[0].figure
    levels = [match for case in result.cases() if (match := _LEVEL.fullmatch(case))]
    if levels:
        titles = dict.fromkeys(match[1] for match in levels)
        return lines(section.title, section.unit, [_panel(result, title, figure) for title in titles])
    items = [
        Bar(row.case, row.contender, spread(row.figures[figure]))
        for case in result.cases()
        for row in result.rows
        if row.case == case and row.figures.get(figure)
    ]
    return bars(section.title, section.unit, items)


def _panel(result: Result, title: str, figure: str) -> Panel:
    found: dict[str, list[tuple[float, list[float]]]] = {}
    for row in result.rows:
        match = _LEVEL.fullmatch(row.case)
        if match and match[1] == title and row.figures.get(figure):
            found.setdefault(row.contender, []).append((float(match[2]), row.figures[figure]))
    return Panel(
        title,
        [
            Line(name, [(level, spread(values)) for level, values in sorted(points)])
            for name, points in found.items()
        ],
    )
