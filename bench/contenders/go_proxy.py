"""Go's httputil.ReverseProxy (proxy.go), compiled on the spot."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contenders.base import Contender, Running, ready
from bench.processes import environ, free_port, running
from bench.request import Upstreams

SOURCE = Path(__file__).with_name("proxy.go")


def compiled(folder: Path) -> Path:
    program = folder / "proxy"
    cache = {"GOCACHE": str(folder / "cache"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
    command = ["go", "build", "-o", str(program), str(SOURCE)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environ(**cache))
    if done.returncode:
        raise RuntimeError(f"proxy.go does not compile:\n{done.stderr}")
    return program


@contextmanager
def start(folder: Path, upstreams: Upstreams) -> Iterator[Running]:
    port, log = free_port(), folder / "go.log"
    pairs = [f"{name}={address}" for name, address in upstreams.items()]
    with running([str(compiled(folder)), str(port), *pairs], log) as process:
        yield ready(Running("Go ReverseProxy", port, (process.pid,)), upstreams, process, log)


GO = Contender("Go ReverseProxy", ("go",), start)
