"""The product as a user has it: `plat up` as a process, its CLI, its HTTP. Nothing is imported from it."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pool.drivers.docker_network import NOT_LET_GO
from pool.drivers.docker_spec import OUR_NETWORK
from tests.acceptance import child

PLAT = Path(sys.executable).parent / "plat"
START_S = 60.0
STOP_S = 60.0
STEP_S = 0.02


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Platform:
    """One running `plat up` with a data folder and a configuration of its own."""

    def __init__(self, folder: Path, driver: str, *options: str, **variables: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.driver = driver
        self.data = folder / "data"
        self.log = folder / "plat.log"
        self.port, self.admin_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PLAT_")},
            "XDG_CONFIG_HOME": str(folder / "config"),
            **variables,
        }
        ports = ["--port", str(self.port), "--admin-port", str(self.admin_port)]
        self._command = [str(PLAT), "up", *ports, "--data", str(self.data), "--driver", driver, *options]
        self.process: subprocess.Popen[bytes] | None = None

    # --- its life

    def start(self) -> None:
        with self.log.open("wb") as log:
            self.process = child.run(self._command, log, self.environ)
        self.wait_for(lambda: "answers at" in self.log.read_text() or self.process_ended(), START_S)
        assert not self.process_ended(), self.log.read_text()

    def process_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def stop(self) -> None:
        """Ctrl-C, and the end must be clean."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(STOP_S)
        assert code == 0, f"plat up ended with {code}:\n{self.log.read_text()[-3000:]}"

    def child(self, role: str) -> int:
        """The process id of `core` or `router`."""
        return self.children(role)[0]

    def children(self, role: str) -> list[int]:
        assert self.process is not None
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in pids if role in _arguments(int(pid))]

    def kill(self, role: str) -> None:
        """kill -9, and wait until the supervisor has a new one."""
        pid = self.child(role)
        os.kill(pid, signal.SIGKILL)
        self.wait_for(lambda: self.children(role) not in ([], [pid]), START_S)

    def wait_for(self, condition: Any, timeout_s: float = 30.0) -> Any:
        """The condition's first true value. Fails with the platform's log."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if value := condition():
                return value
            time.sleep(STEP_S)
        raise AssertionError(f"it did not happen in {timeout_s} s:\n{self.log.read_text()[-3000:]}")

    async def until(self, condition: Any, timeout_s: float = 30.0) -> None:
        """`wait_for` on a running event loop, whose other tasks go on."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"it did not happen:\n{self.log.read_text()[-3000:]}"
            await asyncio.sleep(STEP_S)

    # --- its CLI

    def run(self, *arguments: str, stdin: bytes | None = None, cwd: Path | None = None) -> "Ran":
        """`plat <arguments>`, whatever its exit code."""
        result = subprocess.run(
            [str(PLAT), *arguments],
            input=stdin if stdin is not None else b"",
            capture_output=True,
            env=self.environ,
            cwd=cwd or self.folder,
            timeout=180,
            check=False,
        )
        return Ran(result.returncode, result.stdout.decode(), result.stderr.decode())

    def plat(self, *arguments: str, stdin: bytes | None = None, cwd: Path | None = None) -> str:
        """`plat <arguments>` that must succeed; its standard output."""
        ran = self.run(*arguments, stdin=stdin, cwd=cwd)
        assert ran.code == 0, (
            f"plat {arguments} ended with {ran.code}:\n{ran.err}\n{self.log.read_text()[-3000:]}"
        )
        return ran.out

    def plat_json(self, *arguments: str) -> Any:
        return json.loads(self.plat(*arguments, "--json"))

    @property
    def token(self) -> str:
        text = (self.folder / "config" / "plat" / "config.toml").read_text()
        match = re.search(r'token = "([^"]+)"', text)
        assert match is not None, text
        return match[1]

    # --- functions

    def write(self, name: str, code: str, toml: str = "", public: bool = True) -> Path:
        """A Python function's folder: main.py and plat.toml."""
        folder = self.folder / "functions" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "main.py").write_text(code)
        access = '[access]\nauth = "public"\n' if public else ""
        (folder / "plat.toml").write_text(f'name = "{name}"\nruntime = "python"\n{toml}\n{access}')
        return folder

    def deploy(self, name: str, code: str, toml: str = "", public: bool = True) -> Any:
        return self.plat_json("deploy", str(self.write(name, code, toml, public)))

    def instances(self, name: str) -> list[Any]:
        items: list[Any] = self.plat_json("show", name)["instances"]
        return items


class Ran:
    """What a command did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return []


@contextmanager
def platform(folder: Path, driver: str, *options: str, **variables: str) -> Iterator[Platform]:
    running = Platform(folder, driver, *options, **variables)
    before = _networks_and_volumes(running.environ) if driver == "docker" else set()
    try:
        running.start()
        yield running
        running.stop()
    finally:
        if not running.process_ended() and running.process is not None:
            running.process.kill()
            running.process.wait()
    left = list((running.data / "run").rglob("*"))
    assert left == [], running.log.read_text()[-3000:]
    assert instance_processes(running.data) == []
    if driver == "docker":
        assert instance_containers(running.data, running.environ) == []
        assert _left_on_the_engine(running) - before == set(), running.log.read_text()[-3000:]


def instance_processes(data: Path) -> list[int]:
    """Processes whose output goes below the platform's data folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/fd/1"):
        try:
            output = str(path.readlink())
        except OSError:  # it has ended, or is not ours to read
            continue
        if output.startswith(f"{data}/run/") and "/stdout.log" in output:
            found.append(int(path.parts[2]))
    return found


def instance_containers(data: Path, environ: dict[str, str]) -> list[str]:
    """Containers, stopped ones too, that mount something of the platform's data folder."""
    names = _docker(environ, "ps", "-aq", "--filter", "label=plat.instance").split()
    # Those of other platforms may go meanwhile: nothing is told of them then.
    return [name for name in names if f"{data}/" in _docker(environ, "inspect", name, check=False)]


def _left_on_the_engine(plat: Platform) -> set[str]:
    """But a network that the engine has proved not to let go, though it knows of no container on it."""
    left = _networks_and_volumes(plat.environ)
    if f'"message":"{NOT_LET_GO}' in plat.log.read_text():
        left.discard(f"network {OUR_NETWORK}")
    return left


def _networks_and_volumes(environ: dict[str, str]) -> set[str]:
    return {
        f"{kind} {line}"
        for kind in ("network", "volume")
        for line in _docker(environ, kind, "ls", "--format", "{{.Name}}").split()
    }


def _docker(environ: dict[str, str], *arguments: str, check: bool = True) -> str:
    return subprocess.run(
        ["docker", *arguments], check=check, capture_output=True, text=True, env=environ
    ).stdout
