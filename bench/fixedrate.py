"""The same number of calls a second for every contender, with h2load: for CPU per call."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from bench import request

_FINISHED = re.compile(r"finished in [\d.]+\w+, ([\d.]+) req/s")
_REQUESTS = re.compile(r"requests: \d+ total, \d+ started, (\d+) done, \d+ succeeded")
_CODES = re.compile(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx")


class Steady(Struct, frozen=True):
    calls: int
    """Answered, whatever with."""
    good: int
    """Of these, answered 2xx."""
    calls_per_s: float


def run(
    url: str,
    *,
    rate: float,
    connections: int,
    seconds: float,
    request_bytes: int,
    folder: Path,
    socket: str | None = None,
    headers: Mapping[str, str] = request.HEADERS,
) -> Steady:
    """`socket`: the path of a unix socket to connect to in place of the URL's host."""
    command = ["h2load", "--h1", "-t1", f"-c{connections}", f"--rps={rate / connections:.3f}"]
    command += [f"-D{round(seconds * 1000)}ms"]
    command += [f"-d{request.write_body(folder, request_bytes)}"] if request_bytes else []
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    if socket is not None:
        command += ["-B", f"unix:{socket}"]
    done = subprocess.run([*command, url], check=True, capture_output=True, text=True)
    return parse(done.stdout)


def parse(output: str) -> Steady:
    """What h2load prints. Raises ValueError if it is not that."""
    finished, requests, codes = _FINISHED.search(output), _REQUESTS.search(output), _CODES.search(output)
    if finished is None or requests is None or codes is None:
        raise ValueError(f"h2load printed no result: {output!r}")
    return Steady(calls=int(requests[1]), good=int(codes[1]), calls_per_s=float(finished[1]))
