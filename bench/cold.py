"""`make bench-cold`: cold starts by rung, their parts, decisions, slots that move, Knative's pass bars.

usage: python -m bench.cold [--quick] [--only cold,knative] [--drivers process,docker] [--out FOLDER]
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import store
from bench.cold_plan import FULL, QUICK
from bench.figures import Result
from bench.goals import verdicts
from bench.machine import machine
from bench.processes import ROOT
from bench.questions import cold, cold_parts, decision, knative, moved

QUESTIONS = ("decision", "cold_parts", "cold", "moved", "knative")
DRIVERS = ("process", "docker")
RESULTS = ROOT / "bench" / "results"


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.cold", description="Measure cold starts.")
    parser.add_argument("--quick", action="store_true", help="few calls; into results/quick")
    parser.add_argument("--only", default=",".join(QUESTIONS), help=f"some of {','.join(QUESTIONS)}")
    parser.add_argument("--drivers", default=",".join(DRIVERS), help=f"some of {','.join(DRIVERS)}")
    parser.add_argument("--out", type=Path, help="folder for JSON, plots and page")
    parsed = parser.parse_args(arguments)
    for name, allowed in (("only", QUESTIONS), ("drivers", DRIVERS)):
        chosen = [each.strip().replace("-", "_") for each in getattr(parsed, name).split(",")]
        if unknown := set(chosen) - set(allowed):
            parser.error(f"--{name} {', '.join(sorted(unknown))}: expected some of {', '.join(allowed)}")
        setattr(parsed, name, chosen)
    parsed.out = parsed.out or (RESULTS / "quick" if parsed.quick else RESULTS)
    return parsed


def questions(folder: Path, chosen: argparse.Namespace) -> Mapping[str, Callable[[], Result]]:
    plan = QUICK if chosen.quick else FULL
    return {
        "decision": lambda: decision.ask(folder / "decision"),
        "cold_parts": lambda: cold_parts.ask(folder / "parts", plan.parts),
        "cold": lambda: cold.ask(folder, plan, chosen.drivers),
        "moved": lambda: moved.ask(folder / "moved", plan.moves),
        "knative": lambda: knative.ask(folder / "knative", knative.QUICK if chosen.quick else knative.FULL),
    }


def main() -> None:
    chosen = options(sys.argv[1:])
    logging.disable(logging.WARNING)  # the pool's parts in this process, whose starts fail as they are to
    about = machine()
    with tempfile.TemporaryDirectory(prefix="plat-cold-") as name:
        for question, ask in questions(Path(name), chosen).items():
            if question in chosen.only:
                began = time.monotonic()
                result = ask()
                result.machine, result.quick = about, chosen.quick
                store.save(chosen.out, result)
                took = f"{question}: {time.monotonic() - began:.0f} s"
                print(took, *verdicts(result), sep="\n  ", flush=True)
    print(store.publish(chosen.out))


if __name__ == "__main__":
    main()
