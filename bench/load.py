"""`make load`: a platform, a baseline, the Locust suite against both, and the verdict.

usage: python -m bench.load [--seconds 40] [--out FOLDER]
Ends with 1 and names the goal when one is missed or could not be judged.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench import store, workload
from bench.goals import verdicts
from bench.machine import machine
from bench.platform import Platform, platform
from bench.processes import ROOT, answers, environ, free_port, python, running, until
from bench.samples import Samples, result

USERS = 7
STOP_S = 20
RESULTS = ROOT / "bench" / "results"


@contextmanager
def direct(folder: Path) -> Iterator[str]:
    """The bare server's address."""
    port, log = free_port(), folder / "direct.log"
    with running(python("bench.baseline", str(port)), log) as process:
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(f"{url}/"), process, log, "the bare server")
        yield url


def locust(plat: Platform, direct_url: str, folder: Path, seconds: int) -> Samples:
    """Raises RuntimeError if Locust wrote no samples."""
    file = folder / "samples.json"
    variables = {
        "LOAD_PLATFORM": plat.url,
        "LOAD_TOKEN": plat.token,
        "LOAD_DIRECT": direct_url,
        "LOAD_SAMPLES": str(file),
    }
    command = python(
        "locust", "-f", "bench/locustfile.py", "--headless", "--only-summary", "--loglevel", "WARNING"
    )
    command += ["-u", str(USERS), "-r", str(USERS), "-t", f"{seconds}s", "--stop-timeout", f"{STOP_S}"]
    limit_s = seconds + 3 * STOP_S
    subprocess.run(command, check=False, cwd=ROOT, env=environ(**variables), timeout=limit_s)
    if not file.exists():
        raise RuntimeError("Locust ended without samples; its error is above.")
    return msgspec.json.decode(file.read_bytes(), type=Samples)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load")
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    about = machine()
    with tempfile.TemporaryDirectory(prefix="plat-load-") as name:
        folder = Path(name)
        with platform(folder, workload.FUNCTIONS) as plat, direct(folder) as url:
            answer = result(locust(plat, url, folder, chosen.seconds))
    answer.machine = about
    store.save(chosen.out, answer)
    judged = verdicts(answer)
    print(*judged, store.publish(chosen.out), sep="\n")
    sys.exit(0 if all(verdict.met for verdict in judged) else 1)


if __name__ == "__main__":
    main()
