"""Closed loop with wrk: each connection sends its next call when the last one is answered. For peaks."""

import subprocess
from pathlib import Path

import msgspec
from msgspec import Struct

from bench import request

SCRIPT = """
{body}
{headers}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nresult {{"calls":%d,"seconds":%f,"errors":%d,"p50_ms":%f,"p99_ms":%f}}\\n',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""
BODY = """
wrk.method = "POST"
local file = io.open("{path}", "rb")
wrk.body = file:read("*a")
file:close()
"""


class Peak(Struct, frozen=True):
    calls: int
    seconds: float
    errors: int
    p50_ms: float
    p99_ms: float

    @property
    def calls_per_s(self) -> float:
        return self.calls / self.seconds


def run(url: str, *, connections: int, seconds: float, request_bytes: int, folder: Path) -> Peak:
    """`seconds` is rounded: wrk counts in whole ones."""
    body = BODY.format(path=request.write_body(folder, request_bytes)) if request_bytes else ""
    script = folder / f"wrk-{request_bytes}.lua"
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in request.HEADERS.items())
    script.write_text(SCRIPT.format(body=body, headers=headers))
    length = f"-d{max(1, round(seconds))}s"
    command = ["wrk", "-t1", f"-c{connections}", length, "--timeout", "10s", "-s", str(script), url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return parse(done.stdout)


def parse(output: str) -> Peak:
    """The script's line in what wrk prints. Raises ValueError if it is not there."""
    for line in output.splitlines():
        if line.startswith("result "):
            return msgspec.json.decode(line.removeprefix("result "), type=Peak)
    raise ValueError(f"wrk printed no result: {output!r}")
