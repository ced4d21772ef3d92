"""Platforms with either driver, whose instances are the real Python runtime."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from plat.settings import Settings
from pool.drivers.base import Listener
from pool.drivers.docker import DockerDriver
from pool.drivers.process import ProcessDriver
from runtimes import NODE, PYTHON
from tests.conftest import docker_lists, until_empty
from tests.integration.pool.platform import FUNCTION, PATIENCE_S, Platform


@pytest.fixture
def code(data_dir: Path) -> Path:
    folder = data_dir / "code"
    folder.mkdir(mode=0o755)
    (folder / "main.py").write_text(FUNCTION)
    (folder / "main.py").chmod(0o444)
    return folder


class ForkingDriver(ProcessDriver):
    """Its fork server is ready from the start: every instance comes from it."""

    async def open(self, listener: Listener) -> None:
        await super().open(listener)
        assert await self._starter.fork_server("python", PATIENCE_S) is not None


@pytest.fixture
def forking_platform(settings: Settings, code: Path) -> Platform:
    return Platform(settings, ForkingDriver, code)


@pytest.fixture
def executing_platform(settings: Settings, code: Path) -> Platform:
    """Without a fork server."""
    runtimes = {"python": replace(PYTHON, fork_argv=()), "node": NODE}
    return Platform(settings, lambda settings: ProcessDriver(settings, runtimes), code)


@pytest.fixture(params=["forking", "executing"])
def process_platform(request: pytest.FixtureRequest) -> Platform:
    """Once with each way to start a process: what comes of it is the same."""
    found: Platform = request.getfixturevalue(f"{request.param}_platform")
    return found


@pytest.fixture
def docker_platform(settings: Settings, code: Path, runtime_images: None) -> Platform:
    return Platform(settings, DockerDriver, code)


@pytest.fixture(params=["forking", "executing", pytest.param("docker", marks=pytest.mark.docker)])
def platform(request: pytest.FixtureRequest) -> Platform:
    """Once with each driver: the contract is one."""
    found: Platform = request.getfixturevalue(f"{request.param}_platform")
    return found


@pytest.fixture
def other_data(data_dir: Path) -> Callable[[Settings], Settings]:
    """The settings of a second platform on the same machine."""
    return lambda settings: msgspec.structs.replace(settings, data=str(data_dir / "other"))


@pytest.fixture(autouse=True)
def no_network_or_volume_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whosever: they have no label, as the network is of all platforms, and a volume would be of an image."""
    if request.node.get_closest_marker("docker") is None:
        yield
        return
    before = _networks_and_volumes()
    yield
    left = until_empty(lambda: _networks_and_volumes() - before)
    assert not left, f"left on the Docker engine: {left}"


def _networks_and_volumes() -> set[str]:
    return {
        f"{kind} {name}"
        for kind in ("network", "volume")
        for name in docker_lists(kind, "ls", "--format", "{{.Name}}")
    }
