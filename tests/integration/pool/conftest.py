"""Platforms with either driver, and the image that Docker tests run."""

import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from plat.settings import Settings
from pool.drivers.docker import DockerDriver
from pool.drivers.process import ProcessDriver
from tests.conftest import ROOT
from tests.integration.pool.platform import FUNCTION, SERVER, Platform, StubRuntime

IMAGE = "plat-test-instance"
DOCKERFILE = (
    'FROM {base}\nCOPY instance_server.py /opt/\nENTRYPOINT ["python3", "-S", "/opt/instance_server.py"]\n'
)


@pytest.fixture(scope="session")
def instance_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    base = subprocess.run(
        [ROOT / "deploy" / "make-base-image", "python"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    folder = tmp_path_factory.mktemp("image")
    (folder / "Dockerfile").write_text(DOCKERFILE.format(base=base))
    (folder / SERVER.name).write_text(SERVER.read_text())
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", IMAGE, folder],
        check=True,
        capture_output=True,
        env=_classic(),
    )
    return IMAGE


def _classic() -> dict[str, str]:
    """Docker's newer client builds in the classic way only if it is told to, or has a plugin."""
    return {**os.environ, "DOCKER_BUILDKIT": "0"}


@pytest.fixture
def code(data_dir: Path) -> Path:
    folder = data_dir / "code"
    folder.mkdir(mode=0o755)
    (folder / "main.py").write_text(FUNCTION)
    (folder / "main.py").chmod(0o444)
    return folder


@pytest.fixture
def process_platform(settings: Settings, code: Path) -> Platform:
    return Platform(settings, partial(ProcessDriver, runtimes={"python": StubRuntime()}), code)


@pytest.fixture
def docker_platform(settings: Settings, code: Path, instance_image: str) -> Platform:
    settings = msgspec.structs.replace(settings, docker_python_image=instance_image)
    return Platform(settings, DockerDriver, code)


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def platform(request: pytest.FixtureRequest) -> Platform:
    """Once with each driver: the contract is one."""
    found: Platform = request.getfixturevalue(f"{request.param}_platform")
    return found


@pytest.fixture
def other_data(tmp_path: Path) -> Callable[[Settings], Settings]:
    """The settings of a second platform on the same machine."""
    return lambda settings: msgspec.structs.replace(settings, data=str(tmp_path / "other"))
