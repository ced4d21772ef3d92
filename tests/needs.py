"""What tests may need of a machine, whether this one has it, and why not.

Under `PLAT_TEST_REQUIRE=docker,node` what is missing is a failure instead of a skip.
"""

import functools
import http.client
import importlib.util
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from router import fastpath

VARIABLE = "PLAT_TEST_REQUIRE"
OLDEST_NODE = 18


def required() -> set[str]:
    return {name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()}


@functools.cache
def lacking(name: str) -> str | None:
    """Why it cannot be used here; None: it can."""
    return CHECKS[name]()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _docker() -> str | None:
    url = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not url.startswith("unix://"):
        return f"DOCKER_HOST={url} is not on this machine"
    if shutil.which("docker") is None:
        return "there is no docker command"
    connection = _UnixConnection(url.removeprefix("unix://"))
    try:
        connection.request("GET", "/_ping")
        status = connection.getresponse().status
    except OSError as error:
        return f"no Docker engine answers at {url} ({error})"
    finally:
        connection.close()
    return None if status == 200 else f"the Docker engine at {url} answers {status}"


def _node() -> str | None:
    if shutil.which("node") is None:
        return "there is no node command"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    old = int(version.removeprefix("v").split(".")[0]) < OLDEST_NODE
    return f"node is {version}; {OLDEST_NODE} or newer is needed" if old else None


def postgres_bin() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, which Debian keeps out of PATH; the newest."""
    found = [Path(path).resolve() for path in [shutil.which("initdb")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    return found[0].parent if found else None


def _postgres() -> str | None:
    if importlib.util.find_spec("asyncpg") is None:
        return "the package asyncpg is not installed (the extra `postgres`)"
    return None if postgres_bin() else "there is no PostgreSQL server (initdb)"


def _redis() -> str | None:
    return None if shutil.which("redis-server") else "there is no redis-server command"


def _chromium() -> str | None:
    return None if shutil.which("chromium") else "there is no chromium command"


def _compiled() -> str | None:
    return None if Path(fastpath.__file__).suffix == ".so" else "the router is not compiled (make compiled)"


CHECKS: dict[str, Callable[[], str | None]] = {
    "chromium": _chromium,
    "compiled": _compiled,
    "docker": _docker,
    "node": _node,
    "postgres": _postgres,
    "redis": _redis,
}
