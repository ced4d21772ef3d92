"""Drivers are found by their entry points, and unknown ones are named with those there are."""

import pytest

from plat.errors import PlatError
from plat.settings import Settings
from pool.drivers.choice import choose_driver, make_driver


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
