"""Raw load with wrk: a closed loop over keep-alive connections."""

import re
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Load(NamedTuple):
    requests: int
    seconds: float
    errors: int
    p50_ms: float
    p99_ms: float


def run_wrk(url: str, *, connections: int, seconds: int, headers: Sequence[str] = ()) -> Load:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for header in headers:
        command += ["-H", header]
    output = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    return parse(output)


def parse(output: str) -> Load:
    """What wrk prints. Raises ValueError if it is not that."""
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s)", output)
    if total is None:
        raise ValueError(f"wrk printed no total: {output!r}")
    errors = sum(int(each) for each in re.findall(r"(?:connect|read|write|timeout) (\d+)", output))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return Load(
        requests=int(total[1]),
        seconds=float(total[2]) * _UNITS_MS[total[3]] / 1000,
        errors=errors + (int(bad[1]) if bad else 0),
        p50_ms=_percentile(output, "50%"),
        p99_ms=_percentile(output, "99%"),
    )


def _percentile(output: str, name: str) -> float:
    match = re.search(rf"{name}\s+([\d.]+)(us|ms|s)", output)
    return float(match[1]) * _UNITS_MS[match[2]] if match else float("nan")
