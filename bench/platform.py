"""A whole platform for the load suite: `plat up` with the process driver in a folder of its own."""

import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.processes import END_S, environ, free_port, running, until
from bench.workload import LoadFunction

PLAT = str(Path(sys.executable).parent / "plat")


class Platform(NamedTuple):
    url: str
    token: str


@contextmanager
def platform(folder: Path, functions: Sequence[LoadFunction]) -> Iterator[Platform]:
    """Running, with the functions deployed. Raises RuntimeError if either does not succeed."""
    port, log, token = free_port(), folder / "plat.log", secrets.token_urlsafe(16)
    variables = {
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PLAT_TOKEN": token,
        "PLAT_DATA": str(folder / "data"),
        "PLAT_DRIVER": "process",
    }
    command = [PLAT, "up", "--port", str(port), "--admin-port", str(free_port())]
    url = f"http://127.0.0.1:{port}"
    with running(command, log, variables) as process:
        until(lambda: "answers at" in log.read_text(), process, log, "plat up")
        for function in functions:
            _deploy(folder, function, {**variables, "PLAT_URL": url})
        yield Platform(url, token)


def _deploy(folder: Path, function: LoadFunction, variables: dict[str, str]) -> None:
    source = folder / "functions" / function.name
    source.mkdir(parents=True)
    (source / "main.py").write_text(function.code)
    (source / "plat.toml").write_text(function.toml())
    command = [PLAT, "deploy", str(source)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environ(**variables), timeout=END_S
    )
    if done.returncode:
        raise RuntimeError(f"plat deploy {function.name} failed:\n{done.stderr}")
