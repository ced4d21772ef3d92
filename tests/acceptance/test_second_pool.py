"""Two pools started by mistake: the second says so in one line, ends with status 1, and touches nothing."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.platform import PLAT, Platform, instance_containers, instance_processes, platform

INSTANCES = 3
"""The function's, and two warm ones."""

GOOD = 'def handler(event, context):\n    return "good"\n'


@pytest.fixture(scope="module")
def plat(folder: Path, driver: str) -> Iterator[Platform]:
    with platform(folder / driver, driver, PLAT_WARM_LIMIT="2") as running:
        yield running


def found(plat: Platform) -> dict[str, object]:
    """All that a second pool could disturb."""
    run = plat.data / "run"
    return {
        "files": sorted((str(path), path.lstat().st_ino) for path in run.rglob("*.sock")),
        "code": sorted(path.name for path in (plat.data / "code").iterdir()),
        "processes": sorted(instance_processes(plat.data)),
        "containers": instance_containers(plat.data, plat.environ) if plat.driver == "docker" else [],
    }


def test_the_second_is_refused(plat: Platform) -> None:
    plat.deploy("good", GOOD, "[scale]\nmin = 1\n")
    plat.wait_for(lambda: _at_rest(plat))
    before = found(plat)
    settings = {"PLAT_DATA": str(plat.data), "PLAT_DRIVER": plat.driver}
    ran = subprocess.run(
        [PLAT, "pool"],
        env={**plat.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    [line] = (ran.stdout + ran.stderr).splitlines()
    told = json.loads(line)
    assert told["level"] == "error"
    assert str(plat.data) in told["detail"]
    assert f"pid {plat.child('core')}" in told["detail"]
    assert found(plat) == before
    assert Path(f"/proc/{plat.child('core')}").exists()
    assert plat.plat("invoke", "good") == "good"


def _at_rest(plat: Platform) -> bool:
    """The warm instances are there, so that nothing comes of itself meanwhile."""
    folders = list((plat.data / "run" / "instances").iterdir())
    sockets = [each for each in folders if (each / "http.sock").exists()]
    return len(folders) == len(sockets) == INSTANCES
