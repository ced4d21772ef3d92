"""Programs under measurement: started in a folder of their own, and ended by id."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import request

ROOT = Path(__file__).resolve().parent.parent
READY_S = 60.0
END_S = 60.0

Program = subprocess.Popen[bytes]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def environ(**variables: str) -> dict[str, str]:
    """Ours without the settings of a platform that may be set in it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PLAT_")}
    return {**kept, **variables}


@contextmanager
def running(
    command: Sequence[str], log: Path, variables: dict[str, str] | None = None, end_s: float = END_S
) -> Iterator[Program]:
    """The program until the block ends; then SIGTERM, and SIGKILL if that does not end it within `end_s`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environ(**(variables or {})),
            cwd=ROOT,
        )
    try:
        yield process
    finally:
        end(process, end_s)


def end(process: Program, within_s: float = END_S) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until(ready: Callable[[], bool], process: Program, log: Path, what: str) -> None:
    """Raises RuntimeError with the program's last words if it ends before, or takes too long."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        if ready():
            return
        time.sleep(0.02)
    raise RuntimeError(f"{what} is not ready:\n{log.read_text(errors='replace')[-2000:]}")


def answers(url: str, request_bytes: int = request.SMALL_BYTES) -> bool:
    """Whether the bench's request is answered 200 there."""
    call = urllib.request.Request(url, data=request.body(request_bytes) or None, headers=request.HEADERS)
    try:
        with urllib.request.urlopen(call, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def accepts(path: Path) -> bool:
    """Whether somebody listens at the unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
