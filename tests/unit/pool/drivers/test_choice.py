"""Drivers are found by their entry points, and unknown ones are named with those there are."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plat.errors import PlatError
from plat.settings import Settings
from pool.drivers import choice, procfs
from pool.drivers.base import Kind
from pool.drivers.choice import choose_driver, make_driver
from pool.drivers.folder import Folder, Record


@pytest.mark.parametrize("name", ["process", "docker"])
def test_ours_are_found(name: str) -> None:
    assert make_driver(Settings(data="/tmp/plat-none"), name).name == name


def test_an_unknown_one() -> None:
    with pytest.raises(PlatError, match="installed are: docker, process"):
        make_driver(Settings(), "podman")


async def test_a_setting_is_not_questioned() -> None:
    assert await choose_driver(Settings(driver="docker")) == "docker"


async def test_processes_where_no_engine_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert await choose_driver(Settings()) == "process"


async def test_processes_on_a_machine_without_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr("pool.drivers.docker_engine.DEFAULT_URL", "unix:///nowhere/docker.sock")
    assert await choose_driver(Settings()) == "process"


async def test_processes_where_the_engines_address_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "nowhere")
    assert await choose_driver(Settings()) == "process"


@pytest.mark.parametrize(("later", "driver"), [(0, "process"), (1, "docker")])
async def test_processes_of_a_pool_before_this_one_are_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: int, driver: str
) -> None:
    """But not what has only the pid of one."""
    settings = Settings(data=str(tmp_path))
    root = settings.run_dir / "instances"
    root.mkdir(parents=True)
    me = procfs.stat_of(os.getpid())
    assert me is not None
    record = Record.of_warm("a" * 16, Kind("python", 64, 1.0), datetime.now(UTC))
    Folder(root, record.instance).make(record.run_by(os.getpid(), me.started + later))

    class Answers:
        async def require_image(self, name: str) -> None: ...
        async def aclose(self) -> None: ...

    monkeypatch.setattr(choice, "Engine", Answers)
    assert await choose_driver(settings) == driver
