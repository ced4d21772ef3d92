"""The fixed upstream: one nginx that answers from its configuration, each case at its own socket."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import accepts, free_port, running, until
from bench.request import CASES, Case, Upstreams, body
from plat.address import Address

FRAME = """
{user}
worker_processes 1; daemon off; pid {folder}/backend.pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
  client_max_body_size 8m; client_body_buffer_size 2m; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream inner {{ server unix:{folder}/inner.sock; keepalive 64; keepalive_requests 1000000000; }}
  server {{ listen unix:{folder}/inner.sock; location / {{ return 200 '{small}'; }} }}
{servers}
}}
"""


def answer(case: Case, folder: Path) -> str:
    """What nginx does for a case. `return` takes 4 KB at most; a large answer is a file, sent by sendfile."""
    if case.request_bytes > 4096:  # read it whole, then answer: `return` alone would answer before
        return (
            "location / { proxy_pass http://inner; proxy_http_version 1.1; proxy_set_header Connection ''; "
            "proxy_pass_request_body off; proxy_set_header Content-Length ''; }"
        )
    if case.answer_bytes <= 4096:
        return f"location / {{ return 200 '{body(case.answer_bytes).decode()}'; }}"
    if case.answer_bytes <= 20_000:
        tenth = "x" * (case.answer_bytes // 10)
        return f"set $tenth {tenth}; location / {{ return 200 {'$tenth' * 10}; }}"
    (folder / case.name).write_bytes(body(case.answer_bytes))
    return f"location / {{ root {folder}; rewrite ^ /{case.name} break; }}"


def configuration(folder: Path, upstreams: Upstreams) -> str:
    servers = [
        f"  server {{ listen {_listen(upstreams[case.name])}; {answer(case, folder)} }}"
        for case in CASES.values()
    ]
    # Sockets are in a folder that is its owner's only; nginx started by root would leave root behind.
    user = "user root root;" if os.geteuid() == 0 else ""
    small = body(90).decode()
    return FRAME.format(user=user, folder=folder, small=small, servers="\n".join(servers))


def _listen(address: Address) -> str:
    return f"unix:{address.path}" if address.path else f"{address.host}:{address.port} backlog=4096"


def addresses(folder: Path) -> Upstreams:
    return {
        case.name: Address(path=str(folder / f"{case.name}.sock"))
        if case.transport == "unix"
        else Address(host="127.0.0.1", port=free_port())
        for case in CASES.values()
    }


@contextmanager
def backend(folder: Path) -> Iterator[Upstreams]:
    folder.mkdir()
    upstreams = addresses(folder)
    config, log = folder / "backend.conf", folder / "backend.log"
    config.write_text(configuration(folder, upstreams))
    with running(["nginx", "-c", str(config)], log) as process:
        until(lambda: accepts(folder / "inner.sock"), process, log, "the backend")
        yield upstreams
