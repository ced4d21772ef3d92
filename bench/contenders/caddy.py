"""Caddy's reverse_proxy, with as many idle connections as there are calls at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contenders.base import Contender, Running, ready
from bench.processes import free_port, running
from bench.request import Upstreams, path_of
from plat.address import Address

FRAME = """
{{
  admin off
  auto_https off
}}
http://:{port} {{
  bind 127.0.0.1
{routes}
}}
"""
ROUTE = """  handle {path}* {{
    reverse_proxy {server} {{
      transport http {{
        keepalive_idle_conns_per_host 128
      }}
    }}
  }}"""


def configuration(port: int, upstreams: Upstreams) -> str:
    routes = [
        ROUTE.format(path=path_of(name), server=_server(address)) for name, address in upstreams.items()
    ]
    return FRAME.format(port=port, routes="\n".join(routes))


def _server(address: Address) -> str:
    return f"unix/{address.path}" if address.path else f"{address.host}:{address.port}"


@contextmanager
def start(folder: Path, upstreams: Upstreams) -> Iterator[Running]:
    port, config, log = free_port(), folder / "Caddyfile", folder / "caddy.log"
    config.write_text(configuration(port, upstreams))
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    command = ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"]
    with running(command, log, home) as process:
        yield ready(Running("Caddy", port, (process.pid,)), upstreams, process, log)


CADDY = Contender("Caddy", ("caddy",), start)
