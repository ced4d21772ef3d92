"""The baseline of cold starts: how long the Python runtime's process takes alone until it is healthy.

usage: python -m bench.runtime_start    (prints seconds)
"""

import socket
import subprocess
import tempfile
import time
from pathlib import Path

from bench.instances import CODE, RUNTIMES, environ
from bench.processes import end
from bench.processes import environ as environment

GIVE_UP_S = 30.0
STEP_S = 0.001
QUESTION = b"GET /_plat/health HTTP/1.1\r\nHost: instance\r\n\r\n"


def start_s(folder: Path) -> float:
    """Raises TimeoutError if it does not come up."""
    file, text = CODE["Python"]
    (folder / file).write_text(text)
    path = folder / "http.sock"
    variables = environment(**environ(path, folder, 1))
    began = time.monotonic()
    process = subprocess.Popen(RUNTIMES["Python"].argv, env=variables, stdin=subprocess.DEVNULL)
    try:
        while not is_healthy(path):
            if time.monotonic() - began > GIVE_UP_S:
                raise TimeoutError(f"the Python runtime is not healthy after {GIVE_UP_S} s")
            time.sleep(STEP_S)
        return time.monotonic() - began
    finally:
        end(process)


def is_healthy(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(GIVE_UP_S)
        if client.connect_ex(str(path)):
            return False
        client.sendall(QUESTION)
        return client.recv(100).startswith(b"HTTP/1.1 200")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="plat-start-") as name:
        print(start_s(Path(name)))
