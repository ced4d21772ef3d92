"""nginx: one worker, upstream keep-alive and HTTP/1.1, no header added, nothing logged."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contenders.base import Contender, Running, ready
from bench.processes import free_port, running
from bench.request import Upstreams, path_of
from plat.address import Address

FRAME = """
{user}
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
  client_max_body_size 8m; client_body_buffer_size 2m; proxy_max_temp_file_size 0;
  proxy_buffers 8 64k; proxy_busy_buffers_size 128k;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{upstreams}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
{locations}
  }}
}}
"""


def configuration(folder: Path, port: int, upstreams: Upstreams) -> str:
    pools = [
        f"  upstream {name} {{ server {_server(address)}; keepalive 128; keepalive_requests 1000000000; }}"
        for name, address in upstreams.items()
    ]
    locations = [
        f"    location {path_of(name)} {{ proxy_pass http://{name}/; proxy_http_version 1.1;"
        ' proxy_set_header Connection ""; }'
        for name in upstreams
    ]
    return FRAME.format(
        user="user root root;" if os.geteuid() == 0 else "",
        folder=folder,
        port=port,
        upstreams="\n".join(pools),
        locations="\n".join(locations),
    )


def _server(address: Address) -> str:
    return f"unix:{address.path}" if address.path else f"{address.host}:{address.port}"


@contextmanager
def start(folder: Path, upstreams: Upstreams) -> Iterator[Running]:
    port, config, log = free_port(), folder / "nginx.conf", folder / "nginx.log"
    config.write_text(configuration(folder, port, upstreams))
    with running(["nginx", "-c", str(config)], log) as process:
        yield ready(Running("nginx", port, (process.pid,)), upstreams, process, log)


NGINX = Contender("nginx", ("nginx",), start)
