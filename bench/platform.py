"""A whole platform for a load suite: `plat up` in a folder of its own, and functions on it."""

import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.processes import END_S, environ, free_port, running, until
from bench.workload import LoadFunction

STOP_S = 240.0
"""Hundreds of containers take their time to stop, and whoever is killed leaves them."""

PLAT = str(Path(sys.executable).parent / "plat")


class Platform(NamedTuple):
    url: str
    admin_url: str
    token: str
    folder: Path
    variables: dict[str, str]
    """Its settings: what its CLI needs too."""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def database(self) -> Path:
        return self.folder / "data" / "plat.db"


@contextmanager
def platform(
    folder: Path,
    functions: Sequence[LoadFunction] = (),
    *,
    driver: str = "process",
    settings: Mapping[str, str] | None = None,
) -> Iterator[Platform]:
    """Running, with the functions deployed. Raises RuntimeError if either does not succeed.

    A second one on the same folder goes on with the functions that are there.
    """
    port, admin_port, log, token = free_port(), free_port(), folder / "plat.log", secrets.token_urlsafe(16)
    variables = {
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PLAT_TOKEN": token,
        "PLAT_DATA": str(folder / "data"),
        "PLAT_DRIVER": driver,
        **(settings or {}),
    }
    command = [PLAT, "up", "--port", str(port), "--admin-port", str(admin_port)]
    plat = Platform(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}", token, folder, variables)
    with running(command, log, variables, STOP_S) as process:
        until(lambda: "answers at" in log.read_text(), process, log, "plat up")
        for function in functions:
            deploy(plat, function)
        yield plat


def deploy(plat: Platform, function: LoadFunction) -> None:
    """Raises RuntimeError if it is refused."""
    source = plat.folder / "functions" / function.name
    source.mkdir(parents=True, exist_ok=True)
    (source / "main.py").write_text(function.code)
    (source / "plat.toml").write_text(function.toml())
    command = [PLAT, "deploy", str(source)]
    variables = environ(**{**plat.variables, "PLAT_URL": plat.url})
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=variables, timeout=END_S)
    if done.returncode:
        raise RuntimeError(f"plat deploy {function.name} failed:\n{done.stderr}")
