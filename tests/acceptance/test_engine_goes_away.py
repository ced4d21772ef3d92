"""The Docker engine is killed while functions run: live instances serve on, new ones wait for it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.engine import Engine, engine
from tests.acceptance.platform import Platform, platform

GOOD = 'def handler(event, context):\n    return "good"\n'


@pytest.mark.docker
@pytest.mark.usefixtures("runtime_images")
def test_calls_go_on_and_it_recovers_by_itself(folder: Path) -> None:
    with engine(folder / "engine") as own:
        own.load("plat-runtime-python")
        variables = {"DOCKER_HOST": own.host, "PLAT_DOCKER_NETWORK": "none", "PLAT_WARM": "0"}
        with platform(folder / "plat", "docker", **variables) as plat:
            plat.deploy("warm", GOOD, "[scale]\nidle_s = 600\n")
            plat.deploy("cold", GOOD, "[scale]\nidle_s = 0.5\n")
            plat.deploy("paused", GOOD, "[scale]\nidle_s = 600\npause_after_s = 0.5\n")
            assert plat.plat("invoke", "warm") == "good"
            plat.wait_for(lambda: not plat.instances("cold"))
            plat.wait_for(lambda: _states(plat, "paused") == ["paused"])

            own.kill()
            for _ in range(20):
                assert plat.plat("invoke", "warm") == "good"
            for name in ("cold", "paused"):
                problem = _refused(plat, name)
                assert (problem["status"], problem["code"]) == (503, "engine_unavailable")
                assert "Docker" in problem["detail"]

            own.start()
            for name in ("cold", "paused"):
                plat.wait_for(lambda each=name: plat.run("invoke", each).out == "good", 60)
            assert plat.plat("invoke", "warm") == "good"
            assert len(plat.instances("warm")) == 1
        assert own.docker("ps", "-aq").stdout == b""


@pytest.mark.docker
@pytest.mark.usefixtures("runtime_images")
@pytest.mark.parametrize("live_restore", [True, False])
@pytest.mark.parametrize("how", ["kill", "end"])
def test_all_serve_again_however_it_is_restarted(folder: Path, how: str, live_restore: bool) -> None:
    """Running, paused and warm ones: they live on, or others take their places; nothing is left of any."""
    place = folder / f"{how}-{live_restore}"
    with engine(place / "engine", live_restore=live_restore) as own:
        own.load("plat-runtime-python")
        variables = {"DOCKER_HOST": own.host, "PLAT_DOCKER_NETWORK": "none", "PLAT_WARM": "1"}
        with platform(place / "plat", "docker", **variables) as plat:
            plat.deploy("running", GOOD, "[scale]\nmin = 1\nmax = 1\nidle_s = 600\n")
            plat.deploy("paused", GOOD, "[scale]\nmax = 1\nidle_s = 600\npause_after_s = 0.5\n")
            plat.wait_for(lambda: _states(plat, "paused") == ["paused"])
            plat.wait_for(lambda: _warm(own) == 1)

            getattr(own, how)()
            own.start()
            for name in ("running", "paused"):
                plat.wait_for(lambda each=name: plat.run("invoke", each).out == "good", 90)
            plat.wait_for(lambda: _states(plat, "running") == ["ready"], 90)
            plat.wait_for(lambda: _states(plat, "paused") == ["paused"], 90)
            plat.wait_for(lambda: _warm(own) == 1, 90)
            plat.wait_for(lambda: len(own.docker("ps", "-aq").stdout.split()) == 3, 90)
        assert own.docker("ps", "-aq").stdout == b""


@pytest.mark.docker
@pytest.mark.usefixtures("runtime_images")
def test_a_pool_that_starts_again_meanwhile_goes_on_with_the_containers(folder: Path) -> None:
    """Nobody said that it should be Docker: it was there."""
    place = folder / "auto"
    with engine(place / "engine", live_restore=True) as own:
        own.load("plat-runtime-python")
        variables = {"DOCKER_HOST": own.host, "PLAT_DOCKER_NETWORK": "none", "PLAT_WARM": "0"}
        with platform(place / "plat", "auto", **variables) as plat:
            plat.deploy("hello", GOOD, "[scale]\nmax = 1\nidle_s = 600\n")
            assert plat.plat("invoke", "hello") == "good"
            [before] = own.docker("ps", "-q").stdout.split()

            own.kill()
            plat.kill("core")
            plat.wait_for(lambda: "functions run in containers" in plat.log.read_text())
            assert plat.plat("invoke", "hello") == "good"

            own.start()
            plat.wait_for(lambda: _states(plat, "hello") == ["ready"], 90)
            assert plat.plat("invoke", "hello") == "good"
            assert own.docker("ps", "-q").stdout.split() == [before]
        assert own.docker("ps", "-aq").stdout == b""


def _states(plat: Platform, name: str) -> list[str]:
    ran = plat.run("show", name, "--json")
    return [each["state"] for each in json.loads(ran.out)["instances"]] if ran.code == 0 else []


def _warm(own: Engine) -> int:
    return len(own.docker("ps", "-q", "--filter", "name=plat-warm-").stdout.split())


def _refused(plat: Platform, name: str) -> Any:
    ran = plat.run("invoke", name, "--json")
    assert ran.code == 1
    return json.loads(ran.err)
