"""Platforms for acceptance tests: one kept by the tests of a module, with each driver in turn."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from plat.artifacts import remove_tree
from tests.acceptance.platform import Platform, platform

DRIVERS = [pytest.param("process"), pytest.param("docker", marks=pytest.mark.docker)]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Short, so that sockets fit below it."""
    path = Path(tempfile.mkdtemp(prefix="plat-"))
    yield path
    remove_tree(path)


@pytest.fixture(scope="module", params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "docker":
        request.getfixturevalue("runtime_images")
    return name


@pytest.fixture(scope="module")
def plat(folder: Path, driver: str) -> Iterator[Platform]:
    """A running platform, with each driver; the tests of a module share it."""
    with platform(folder / driver, driver) as running:
        yield running
