"""Platforms for acceptance tests: one kept by the tests of a module, with each driver in turn."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.platform import Platform, platform

DRIVERS = [pytest.param("process"), pytest.param("docker", marks=pytest.mark.docker)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, so that sockets fit below it."""
    path = Path(tempfile.mkdtemp(prefix="plat-"))
    yield path
    shutil.rmtree(path, onerror=_make_writable)


def _make_writable(remove: object, path: str, error: object) -> None:
    Path(path).parent.chmod(0o700)
    Path(path).chmod(0o700)
    if Path(path).is_dir():
        shutil.rmtree(path)
    else:
        Path(path).unlink()


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "docker":
        request.getfixturevalue("runtime_images")
    return name


@pytest.fixture
def plat(folder: Path, driver: str) -> Iterator[Platform]:
    """A running platform, with each driver."""
    with platform(folder, driver) as running:
        yield running
