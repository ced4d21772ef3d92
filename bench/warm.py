"""A warm function through the router, next to nginx in front of the same instance socket.

`python -m bench.warm`: starts the platform with the process driver in a temporary folder, deploys
examples/hello, and loads router and nginx in turn. Writes results/warm.json and results/README.md.
"""

import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from bench.load import Load, run_wrk
from bench.processes import children, command_line, cpu_s, running, wait_until_answers

REPEATS = 5
SECONDS = 4
CONNECTIONS = (1, 64)
ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"

NGINX = """
{user}
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream instance {{ server unix:{socket}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ proxy_pass http://instance; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


class Contender(NamedTuple):
    name: str
    url: str
    pid: int


class Measured(NamedTuple):
    load: Load
    cpu_us: float


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def plat_up(folder: Path) -> Iterator[Contender]:
    port, admin_port, log = free_port(), free_port(), folder / "plat.log"
    environ = {"XDG_CONFIG_HOME": str(folder / "config"), "PLAT_URL": f"http://127.0.0.1:{port}"}
    plat = str(Path(sys.executable).parent / "plat")
    command = [plat, "up", "--port", str(port), "--admin-port", str(admin_port)]
    command += ["--data", str(folder / "data"), "--driver", "process"]
    with running(command, log, environ) as process:
        wait_until_answers(f"http://127.0.0.1:{admin_port}/readyz", process, log)
        source = folder / "hello"
        shutil.copytree(ROOT / "examples" / "hello", source)
        subprocess.run(
            [plat, "deploy", str(source)], check=True, capture_output=True, env={**os.environ, **environ}
        )
        subprocess.run(
            [plat, "scale", "hello", "--min", "1", "--max", "1"],
            check=True,
            capture_output=True,
            env={**os.environ, **environ},
        )
        router = next(pid for pid in children(process.pid) if " router" in command_line(pid))
        yield Contender("plat router", f"http://127.0.0.1:{port}/function/hello", router)


@contextmanager
def nginx(folder: Path) -> Iterator[Contender]:
    port, log = free_port(), folder / "nginx.log"
    instance = next((folder / "data" / "run" / "instances").glob("*/http.sock"))
    config = folder / "nginx.conf"
    # The instance's socket is its owner's only; nginx started by root would leave root behind.
    user = "user root root;" if os.geteuid() == 0 else ""
    config.write_text(NGINX.format(user=user, folder=folder, socket=instance, port=port))
    with running(["nginx", "-c", str(config)], log) as process:
        url = f"http://127.0.0.1:{port}/"
        wait_until_answers(url, process, log)
        yield Contender("nginx", url, children(process.pid)[0])


def measure(contender: Contender, connections: int) -> Measured:
    before = cpu_s(contender.pid)
    load = run_wrk(contender.url, connections=connections, seconds=SECONDS)
    if load.errors:
        raise RuntimeError(
            f"{contender.name}: {load.errors} of {load.requests} calls failed; the run is void"
        )
    return Measured(load, (cpu_s(contender.pid) - before) / load.requests * 1e6)


def compare(contenders: list[Contender], connections: int) -> dict[str, Any]:
    """Interleaved: A B A B …; the first round is a warm-up and not counted."""
    rounds: dict[str, list[Measured]] = {each.name: [] for each in contenders}
    for number in range(REPEATS + 1):
        for contender in contenders:
            measured = measure(contender, connections)
            if number:
                rounds[contender.name].append(measured)
    return {name: summary(measured) for name, measured in rounds.items()}


def summary(rounds: list[Measured]) -> dict[str, list[float]]:
    """Minimum, median and maximum of each figure."""
    figures = {
        "cpu_us_per_call": [each.cpu_us for each in rounds],
        "calls_per_s": [each.load.requests / each.load.seconds for each in rounds],
        "p50_ms": [each.load.p50_ms for each in rounds],
        "p99_ms": [each.load.p99_ms for each in rounds],
    }
    return {name: [min(each), statistics.median(each), max(each)] for name, each in figures.items()}


def machine() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown"
    )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return {
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processors": f"{os.cpu_count()} x {model}",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def write_results(results: dict[str, Any]) -> None:
    (RESULTS / "warm.json").write_text(json.dumps(results, indent=2) + "\n")
    lines = [
        "# Results",
        "",
        "Made by `make bench` from `warm.json`; not edited by hand. A warm `examples/hello` (Python, one",
        "instance, unix socket) called with GET by wrk over keep-alive connections, closed loop; router and",
        f"nginx in turn, {REPEATS} rounds of {SECONDS} s after one that is not counted. Median [minimum to",
        "maximum]. CPU is user and system time of the router's or the nginx worker's own process, per call.",
        "",
        *[f"* {key}: {value}" for key, value in results["machine"].items()],
        "",
        "| connections | in front of the instance | CPU us a call | calls a second | p50 ms | p99 ms |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for connections, rows in results["connections"].items():
        for name, figures in rows.items():
            cells = [_cell(figures[key]) for key in ("cpu_us_per_call", "calls_per_s", "p50_ms", "p99_ms")]
            lines.append(f"| {connections} | {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "Not measured here: TCP upstreams, other proxies, bodies, an open loop, more routers, Docker.",
        "",
    ]
    (RESULTS / "README.md").write_text("\n".join(lines))


def _cell(figures: list[float]) -> str:
    low, median, high = figures
    return f"{median:.4g} [{low:.4g} to {high:.4g}]"


def main() -> None:
    if shutil.which("wrk") is None or shutil.which("nginx") is None:
        sys.exit("The bench needs wrk and nginx: apt-get install wrk nginx-light")
    with tempfile.TemporaryDirectory(prefix="plat-bench-") as name, plat_up(Path(name)) as router:
        urllib.request.urlopen(router.url, timeout=10).close()
        with nginx(Path(name)) as other:
            rows = {str(each): compare([router, other], each) for each in CONNECTIONS}
    write_results({"machine": machine(), "connections": rows})
    print((RESULTS / "README.md").read_text())


if __name__ == "__main__":
    main()
