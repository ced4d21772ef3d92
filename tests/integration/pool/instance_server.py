"""The smallest thing that keeps the contract of an instance: `handler(event, context)` of main.py over HTTP.

Runs alone, also in a container: standard library only.
"""

import http.server
import importlib
import json
import os
import signal
import socketserver
import sys
from typing import Any


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(
            {
                "function": os.environ["PLAT_FUNCTION"],
                "version": int(os.environ["PLAT_VERSION"]),
                "in_flight": 0,
            }
        )

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(importlib.import_module("main").handler(event, None))

    def _answer(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return ""

    def log_message(self, *args: Any) -> None:
        """The log is the function's."""


def leave(*_: object) -> None:
    sys.stdout.flush()
    os._exit(0)


def main() -> None:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.path.insert(0, os.environ["PLAT_CODE"])
    signal.signal(signal.SIGTERM, leave)
    importlib.import_module("main")
    Server(os.environ["PLAT_SOCKET"], Handler).serve_forever()


main()
