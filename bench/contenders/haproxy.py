"""HAProxy: one thread, connections to the upstreams kept and shared."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contenders.base import Contender, Running, ready
from bench.processes import free_port, running
from bench.request import Upstreams, path_of
from plat.address import Address

FRAME = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  option http-keep-alive
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend bench
  bind 127.0.0.1:{port} backlog 4096
"""


def configuration(port: int, upstreams: Upstreams) -> str:
    rules = [f"  use_backend {name} if {{ path_beg {path_of(name)} }}" for name in upstreams]
    backends = [
        f"backend {name}\n  http-reuse always\n  server s {_server(address)}"
        for name, address in upstreams.items()
    ]
    return "\n".join([FRAME.format(port=port).rstrip(), *rules, *backends, ""])


def _server(address: Address) -> str:
    return f"unix@{address.path}" if address.path else f"{address.host}:{address.port}"


@contextmanager
def start(folder: Path, upstreams: Upstreams) -> Iterator[Running]:
    port, config, log = free_port(), folder / "haproxy.cfg", folder / "haproxy.log"
    config.write_text(configuration(port, upstreams))
    with running(["haproxy", "-db", "-f", str(config)], log) as process:
        yield ready(Running("HAProxy", port, (process.pid,)), upstreams, process, log)


HAPROXY = Contender("HAProxy", ("haproxy",), start)
