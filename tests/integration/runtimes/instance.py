"""A runtime as a real process on a unix socket, and a plain HTTP client for it."""

import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from runtimes import NODE, PYTHON, Runtime

RUNTIMES: dict[str, Runtime] = {"python": PYTHON, "node": NODE}
DEADLINE_S = 20.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S} s"
        time.sleep(0.005)


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One keep-alive connection."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(path)

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost:8080"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode() + (body or b""))

    def response(self, method: str = "GET") -> http.client.HTTPResponse:
        """The head of the next answer; read the body from it."""
        response = http.client.HTTPResponse(self.sock, method=method)
        response.begin()
        return response

    def read(self, method: str = "GET") -> Answer:
        response = self.response(method)
        body = response.read()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    def has_bytes(self) -> bool:
        return bool(select.select([self.sock], [], [], 0)[0])

    def is_closed(self) -> bool:
        """Whether the instance has closed its side; waits for that."""
        try:
            return self.sock.recv(65_536) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.sock.close()


class Instance:
    """A started runtime. `marks` is a folder where handlers and tests leave files for each other."""

    def __init__(
        self, runtime: str, files: Mapping[str, str], handler: str | None = "main.handler", **environ: str
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="plat-rt-"))
        self.code, self.marks, self.log = self.folder / "code", self.folder / "marks", self.folder / "log"
        self.marks.mkdir()
        for name, text in files.items():
            path = self.code / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.path = str(self.folder / "http.sock")
        self._connections: list[Connection] = []
        settings = {"PLAT_HANDLER": handler, "PLAT_CODE": str(self.code)} if handler else {}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                RUNTIMES[runtime].argv,
                env={
                    "PATH": os.environ["PATH"],
                    "PLAT_SOCKET": self.path,
                    "PLAT_FUNCTION": "hello",
                    "PLAT_VERSION": "3",
                    "PLAT_INSTANCE": "0123456789abcdef",
                    "MARKS": str(self.marks),
                    **settings,
                    **environ,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(lambda: self._listens() or self.process.poll() is not None, "the socket listens")

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as sock:
            return sock.connect_ex(self.path) == 0

    def connect(self) -> Connection:
        connection = Connection(self.path)
        self._connections.append(connection)
        return connection

    def call(
        self,
        method: str = "GET",
        path: str = "/",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own."""
        connection = self.connect()
        connection.send(method, path, body, headers)
        return connection.read(method)

    def health(self) -> Answer:
        return self.call(path="/_plat/health")

    def mark(self, name: str) -> None:
        (self.marks / name).touch()

    def wait_for_mark(self, name: str) -> None:
        wait_until((self.marks / name).exists, f"the mark {name}")

    def output(self) -> str:
        return self.log.read_text()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        return self.process.wait(DEADLINE_S)

    def peak_mb(self) -> float:
        """The most memory the process has had resident."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmHWM")

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)
