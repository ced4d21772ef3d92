"""`make bench`: asks each question in turn, and makes the results page.

usage: python -m bench [--quick] [--only cpu,peak] [--out FOLDER] [--page]
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import store
from bench.contenders.all import Field, field
from bench.figures import Result
from bench.goals import verdicts
from bench.machine import machine
from bench.plan import FULL, QUESTIONS, QUICK, Plan
from bench.processes import ROOT
from bench.questions import (
    collector,
    cpu,
    end_to_end,
    latency,
    limits,
    many_functions,
    overload,
    peak,
    routers,
    runtimes,
)

ASK: dict[str, Callable[[Field, Plan], Result]] = {
    "cpu": cpu.ask,
    "peak": peak.ask,
    "latency": latency.ask,
    "collector": collector.ask,
    "overload": overload.ask,
    "runtimes": runtimes.ask,
    "end_to_end": end_to_end.ask,
    "routers": routers.ask,
    "many_functions": many_functions.ask,
    "limits": limits.ask,
}
NEEDED = {"nginx": "nginx-light", "h2load": "nghttp2-client", "wrk": "wrk"}
RESULTS = ROOT / "bench" / "results"


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare the router with its peers.")
    parser.add_argument("--quick", action="store_true", help="two repeats, short; into results/quick")
    parser.add_argument("--only", default=",".join(QUESTIONS), help=f"some of {','.join(QUESTIONS)}")
    parser.add_argument("--out", type=Path, help="folder for JSON, plots and page")
    parser.add_argument("--page", action="store_true", help="measure nothing: make the page from the JSON")
    parsed = parser.parse_args(arguments)
    parsed.only = [each.strip().replace("-", "_") for each in parsed.only.split(",")]
    if unknown := set(parsed.only) - set(QUESTIONS):
        parser.error(f"--only {', '.join(sorted(unknown))}: expected some of {', '.join(QUESTIONS)}")
    parsed.out = parsed.out or (RESULTS / "quick" if parsed.quick else RESULTS)
    return parsed


def ask(folder: Path, out: Path, questions: list[str], plan: Plan) -> None:
    about = machine()
    with field(folder) as contenders:
        for name, reason in contenders.skipped.items():
            print(f"skipped: {name} ({reason})")
        for question in questions:
            began = time.monotonic()
            result = ASK[question](contenders, plan)
            result.machine, result.quick = about, plan.quick
            store.save(out, result)
            print(f"{question}: {time.monotonic() - began:.0f} s", *verdicts(result), sep="\n  ", flush=True)


def main() -> None:
    chosen = options(sys.argv[1:])
    if not chosen.page:
        lacking = [package for program, package in NEEDED.items() if shutil.which(program) is None]
        if lacking:
            sys.exit(f"The bench needs {', '.join(lacking)}: apt-get install {' '.join(lacking)}")
        with tempfile.TemporaryDirectory(prefix="plat-bench-") as folder:
            ask(Path(folder), chosen.out, chosen.only, QUICK if chosen.quick else FULL)
    print(store.publish(chosen.out))


if __name__ == "__main__":
    main()
