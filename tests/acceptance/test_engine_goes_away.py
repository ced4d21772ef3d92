"""The Docker engine is killed while functions run: live instances serve on, new ones wait for it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.engine import engine
from tests.acceptance.platform import Platform, platform

GOOD = 'def handler(event, context):\n    return "good"\n'


@pytest.mark.docker
@pytest.mark.usefixtures("runtime_images")
def test_calls_go_on_and_it_recovers_by_itself(folder: Path) -> None:
    with engine(folder / "engine") as own:
        own.load("plat-runtime-python")
        variables = {"DOCKER_HOST": own.host, "PLAT_DOCKER_NETWORK": "none"}
        with platform(folder / "plat", "docker", **variables) as plat:
            plat.deploy("warm", GOOD, "[scale]\nidle_s = 600\n")
            plat.deploy("cold", GOOD, "[scale]\nidle_s = 0.5\n")
            assert plat.plat("invoke", "warm") == "good"
            plat.wait_for(lambda: not plat.instances("cold"))

            own.kill()
            for _ in range(20):
                assert plat.plat("invoke", "warm") == "good"
            problem = _refused(plat, "cold")
            assert (problem["status"], problem["code"]) == (503, "engine_unavailable")
            assert "Docker" in problem["detail"]

            own.start()
            plat.wait_for(lambda: plat.run("invoke", "cold").out == "good", 60)
            assert plat.plat("invoke", "warm") == "good"
            assert len(plat.instances("warm")) == 1
        assert own.docker("ps", "-aq").stdout == b""


def _refused(plat: Platform, name: str) -> Any:
    ran = plat.run("invoke", name, "--json")
    assert ran.code == 1
    return json.loads(ran.err)
