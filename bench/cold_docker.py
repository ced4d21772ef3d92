"""What a container takes without us: `docker run`, and create and start through the engine's API."""

import http.client
import shutil
import socket
import subprocess
import time
import urllib.parse

import msgspec

from plat.settings import Settings

IMAGE = Settings().docker_python_image
ENGINE = "/var/run/docker.sock"
TIMEOUT_S = 60.0


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(ENGINE)


def missing() -> str | None:
    """Why there are no containers here; None if there are."""
    if shutil.which("docker") is None:
        return "not installed: docker"
    found = subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, text=True, check=False)
    return None if found.returncode == 0 else f"{found.stderr.strip()} (make images)"


def run_s() -> float:
    """Seconds of `docker run` for a program that only ends. Raises CalledProcessError."""
    command = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "true", IMAGE]
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S)
    return time.monotonic() - began


def start_s() -> float:
    """Seconds until the engine says that it has created and started a container. Raises RuntimeError."""
    body = {"Image": IMAGE, "Entrypoint": ["sleep", "60"], "HostConfig": {"NetworkMode": "none"}}
    began = time.monotonic()
    created = _ask("POST", "/containers/create", body)
    container = str(msgspec.json.decode(created)["Id"])
    try:
        _ask("POST", f"/containers/{container}/start")
        return time.monotonic() - began
    finally:
        _ask("DELETE", f"/containers/{container}?{urllib.parse.urlencode({'force': 'true'})}")


def _ask(method: str, path: str, body: object = None) -> bytes:
    connection = _Connection("docker")
    try:
        data = b"" if body is None else msgspec.json.encode(body)
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content.decode(errors='replace')}")
        return content
    finally:
        connection.close()
