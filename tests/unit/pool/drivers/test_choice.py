"""Drivers are found by their entry points, and unknown ones are named with those there are."""

import os
import socket
import tempfile
from collections.abc import Iterator
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


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Sockets fit below its folder, and the engine is away."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with tempfile.TemporaryDirectory(prefix="plat-") as folder:
        settings = Settings(data=folder)
        (settings.run_dir / "instances" / "one").mkdir(parents=True)
        yield settings


@pytest.mark.parametrize("full", [False, True])
async def test_containers_of_a_pool_before_this_one_are_gone_on_with_while_their_engine_is_away(
    short: Settings, full: bool
) -> None:
    """Also paused ones, which take nobody who connects."""
    path = str(short.run_dir / "instances" / "one" / "http.sock")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as guest:
        listener.bind(path)
        listener.listen(0)
        if full:
            guest.connect(path)
        assert await choose_driver(short) == "docker"


async def test_but_not_with_what_is_left_of_containers_that_have_ended(short: Settings) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short.run_dir / "instances" / "one" / "http.sock"))
    (short.run_dir / "instances" / "two").mkdir()
    (short.run_dir / "instances" / ("long" * 50)).mkdir()
    assert await choose_driver(short) == "process"
