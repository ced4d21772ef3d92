"""`plat simulate`: what the pool's decisions would make of recorded calls. Needs no platform."""

import tomllib
from pathlib import Path
from typing import Any

import click

from cli.chart import chart
from cli.failure import FailedError
from cli.render import print_json, print_pairs
from plat.decoding import convert
from plat.errors import PlatError
from pool.simulation.policy import Policy
from pool.simulation.simulator import simulate as run
from pool.simulation.tally import Report
from pool.simulation.traces import read

PATH = click.Path(path_type=Path)


@click.command("simulate")
@click.option("--trace", "traces", type=PATH, multiple=True, required=True, help="Calls, as CSV; several.")
@click.option("--policy", type=PATH, help="TOML; what it leaves out has its default.")
@click.option("--step", "step_s", type=click.FloatRange(min=0.001), help="Seconds between two moments.")
@click.option("--plot", type=PATH, help="Write instances over time as SVG.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the instances over time.")
def simulate(
    traces: tuple[Path, ...], policy: Path | None, step_s: float | None, plot: Path | None, as_json: bool
) -> None:
    """Run recorded calls through the pool's decisions: cold starts, waiting, memory."""
    report = run(read(traces), read_policy(policy) if policy else Policy(), step_s)
    if plot is not None:
        _write(plot, chart(f"Instances: {', '.join(each.name for each in traces)}", report.timeline))
    if as_json:
        print_json(report)
    else:
        print_pairs(pairs(report))


def read_policy(path: Path) -> Policy:
    """Raises PlatError `invalid` naming the file and the key."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        return convert(document, Policy)
    except OSError as error:
        raise PlatError("invalid", f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise PlatError("invalid", f"{path} is not TOML: {error}.") from error
    except PlatError as error:
        raise PlatError("invalid", f"{path}: {error.detail}") from error


def pairs(report: Report) -> list[tuple[str, Any]]:
    """What is shown of a report without --json: the words of `docs/cli.md`."""
    wait = report.wait_ms
    served = [(f"served {kind}", _share(count, report.calls)) for kind, count in report.served.items()]
    return [
        ("calls", report.calls),
        ("functions", report.functions),
        ("seconds", f"{report.span_s:.1f}"),
        *served,
        ("wait mean", f"{wait.mean:.1f} ms"),
        ("wait p50", f"{wait.p50:.1f} ms"),
        ("wait p99", f"{wait.p99:.1f} ms"),
        ("wait max", f"{wait.max:.1f} ms"),
        ("cold starts", report.cold_starts),
        ("warm starts", report.warm_starts),
        ("resumes", report.resumes),
        ("made ahead", report.made_ahead),
        ("evictions", report.evictions),
        ("instances at most", report.instances_at_most),
        ("instance-seconds", f"{report.instance_seconds:.1f}"),
        ("paused", f"{report.paused_seconds:.1f}"),
        ("busy", f"{report.busy_seconds:.1f}"),
        ("memory GB-seconds", f"{report.memory_mb_seconds / 1024:.1f}"),
    ]


def _share(count: int, calls: int) -> str:
    return f"{count} ({count / calls:.2%})"


def _write(path: Path, content: str) -> None:
    try:
        path.write_text(content, "utf-8")
    except OSError as error:
        raise FailedError(f"{path} cannot be written: {error.strerror}.") from error
