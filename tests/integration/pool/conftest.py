"""Platforms with either driver, whose instances are the real Python runtime."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from plat.settings import Settings
from pool.drivers.docker import DockerDriver
from pool.drivers.process import ProcessDriver
from tests.integration.pool.platform import FUNCTION, Platform


@pytest.fixture
def code(data_dir: Path) -> Path:
    folder = data_dir / "code"
    folder.mkdir(mode=0o755)
    (folder / "main.py").write_text(FUNCTION)
    (folder / "main.py").chmod(0o444)
    return folder


@pytest.fixture
def process_platform(settings: Settings, code: Path) -> Platform:
    return Platform(settings, ProcessDriver, code)


@pytest.fixture
def docker_platform(settings: Settings, code: Path, runtime_images: None) -> Platform:
    return Platform(settings, DockerDriver, code)


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def platform(request: pytest.FixtureRequest) -> Platform:
    """Once with each driver: the contract is one."""
    found: Platform = request.getfixturevalue(f"{request.param}_platform")
    return found


@pytest.fixture
def other_data(data_dir: Path) -> Callable[[Settings], Settings]:
    """The settings of a second platform on the same machine."""
    return lambda settings: msgspec.structs.replace(settings, data=str(data_dir / "other"))
