"""What every test has: marks that become skips or failures, a platform's settings, and checks for leaks."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

from plat.settings import Settings
from pool.drivers import procfs
from pool.drivers.docker_spec import OWNER, owner_of
from tests import needs

ROOT = Path(__file__).parent.parent
LEAK_WAIT_S = 5.0

T = TypeVar("T")


def pytest_configure(config: pytest.Config) -> None:
    unknown = needs.required() - needs.CHECKS.keys()
    if unknown:
        known = ", ".join(sorted(needs.CHECKS))
        raise pytest.UsageError(f"{needs.VARIABLE} names {', '.join(sorted(unknown))}; it may name: {known}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in needs.CHECKS:
        if item.get_closest_marker(name) and (reason := needs.lacking(name)) is not None:
            if name in needs.required():
                pytest.fail(f"{name} is required by {needs.VARIABLE}: {reason}", pytrace=False)
            pytest.skip(f"{name}: {reason}")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Short, so that the sockets of instances fit below it."""
    with tempfile.TemporaryDirectory(prefix="plat-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    """A platform of the test's own: no other's processes, containers or sockets are in its reach."""
    return Settings(data=str(data_dir), port=0, admin_port=0, docker_network="none", log_level="debug")


@pytest.fixture(scope="session")
def runtime_images() -> None:
    """plat-runtime-python and plat-runtime-node of these sources; making them takes minutes, at first."""
    subprocess.run([ROOT / "deploy" / "build-images"], check=True)


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    """A test ends the processes it started, and theirs."""
    before = _children()
    yield
    left = until_empty(lambda: _children() - before)
    commands = [_command(pid) for pid in left]
    for pid in left:
        _end(pid)
    assert not left, f"processes are left: {commands}"


@pytest.fixture(autouse=True)
def no_container_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """A Docker test leaves no container with its platform's label."""
    if request.node.get_closest_marker("docker") is None:
        yield
        return
    label = f"label={OWNER}={owner_of(request.getfixturevalue('settings'))}"
    yield
    left = until_empty(lambda: docker_lists("ps", "--all", "--quiet", "--filter", label))
    for container in left:
        subprocess.run(["docker", "rm", "--force", "--volumes", container], check=False)
    assert not left, f"containers are left: {left}"


def docker_lists(*command: str) -> set[str]:
    """The words that the engine's client prints."""
    done = subprocess.run(["docker", *command], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def _children() -> set[int]:
    """Of this process, and dead ones that nobody reaped."""
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found.update(int(pid) for pid in path.read_text().split())
    return found


def _end(pid: int) -> None:
    """Also what it started: a test that failed must not disturb the next."""
    if (stat := procfs.stat_of(pid)) is not None:
        procfs.kill_session(pid, stat.started)
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip() or f"pid {pid} (ended)"
    except OSError:
        return f"pid {pid}"


def until_empty(look: Callable[[], set[T]]) -> set[T]:
    deadline = time.monotonic() + LEAK_WAIT_S
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found
