"""Instances that do not start, do not stay, or eat the machine: the cause is told, and the rest goes on."""

import json
import logging
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pool.backoff import Backoff
from tests.acceptance.platform import Platform, platform
from tests.acceptance.test_faults import call

log = logging.getLogger(__name__)

GOOD = 'def handler(event, context):\n    return "good"\n'

DIES = """
import os
def handler(event, context):
    os._exit(3)
"""

LEAKS = """
import os
kept = []
def handler(event, context):
    kept.append(os.urandom(8 << 20))
    return len(kept)
"""

NEVER = {
    "raises": ("raise ValueError('not today')\n" + GOOD, "ValueError: not today"),
    "exits": ("import os\nos._exit(3)\n" + GOOD, "status 3"),
    "hangs": ("import time\ntime.sleep(600)\n" + GOOD, "not"),
}
"""Versions that never become ready, and what is told of each."""

WINDOW_S = 4.0
LOADED = 5
"""The bar is 2 s; a machine that runs other tests besides may take so many times as long."""


@pytest.fixture(scope="module")
def plat(folder: Path, driver: str) -> Iterator[Platform]:
    with platform(folder / driver, driver, PLAT_START_TIMEOUT_S="10") as running:
        running.deploy("good", GOOD)
        yield running


def started(plat: Platform, name: str) -> int:
    """How many instances of the function have been started or made of warm ones, so far."""
    lines = [json.loads(line) for line in plat.log.read_text().splitlines() if line.startswith("{")]
    begun = [each for each in lines if each.get("function") == name and each["message"] == "instance"]
    return len({each["instance"] for each in begun})


def failed(plat: Platform, name: str) -> int:
    return sum(
        f'"function":"{name}"' in line and "instance failed to start" in line
        for line in plat.log.read_text().splitlines()
    )


def most_deaths(seconds: float) -> int:
    """How many instances of a version can have died in that time, one after the other."""
    backoff, now, deaths = Backoff(), 0.0, 0
    while now <= seconds:
        deaths += 1
        backoff.died("v", 0.0, now)
        now = max(now, backoff.retry_at("v"))
    return deaths


def test_one_that_dies_in_every_call_is_not_replaced_without_end(plat: Platform) -> None:
    plat.deploy("dies", DIES, "[scale]\nmax = 1\n")
    began, before, calls = time.monotonic(), started(plat, "dies"), 0
    while time.monotonic() - began < WINDOW_S:
        status, problem = call(plat, "dies", {})
        assert (status, problem["code"]) == (502, "instance_crashed"), problem
        calls += 1
    lived = started(plat, "dies") - before
    assert lived <= most_deaths(time.monotonic() - began) + 1
    assert calls <= lived + 1
    assert call(plat, "good", {}) == (200, "good")


@pytest.mark.parametrize("how", NEVER)
def test_a_new_version_that_does_not_start_leaves_the_last_one_serving(plat: Platform, how: str) -> None:
    code, told = NEVER[how]
    name = f"new-{how}"
    assert plat.deploy(name, GOOD)["version"] == 1
    ran = plat.run("deploy", str(plat.write(name, code)))
    assert ran.code == 1
    assert told in ran.err
    assert call(plat, name, {}) == (200, "good")
    assert plat.plat_json("show", name)["function"]["live"] == 1
    assert [each["version"] for each in plat.instances(name)] == [1]
    assert failed(plat, name) == 1, "it was tried once, and given up"


def test_memory_that_leaks_from_call_to_call_ends_one_instance(plat: Platform) -> None:
    plat.deploy("leaks", LEAKS, "[scale]\nmax = 1\n[limits]\nmemory_mb = 64\n")
    for _ in range(64):
        status, answer = call(plat, "leaks", {})
        if status != 200:
            break
    assert (status, answer["code"], answer["reason"]) == (502, "instance_crashed", "out_of_memory")
    assert call(plat, "leaks", {}) == (200, "1")


FILLS = """
import os

def fill(path):
    wrote = 0
    try:
        with open(path, "wb", buffering=0) as file:
            while wrote < 1 << 30:
                wrote += file.write(bytes(1 << 20))
    except OSError as error:
        return type(error).__name__, error.errno
    return "wrote", wrote

def handler(event, context):
    return [fill(os.path.join(folder, "ballast"))[0] for folder in event["folders"]]
"""


@pytest.mark.docker
@pytest.mark.parametrize("driver", ["docker"], indirect=True, scope="module")
def test_an_instance_fills_nothing_but_its_own_tmp(plat: Platform) -> None:
    plat.deploy("fills", FILLS, "[scale]\nmax = 1\n[limits]\nmemory_mb = 64\n")
    status, answer = call(plat, "fills", {"folders": ["/tmp", "/run/plat", "/", "/code", "/var/tmp"]})
    assert (status, "wrote" in answer) == (200, False)
    assert call(plat, "fills", {"folders": ["/run/plat"]})[0] == 200, "it serves on"
    status, answer = call(plat, "fills", {"folders": ["/dev/shm"]})
    if status != 200:  # that is its memory
        assert (status, answer["reason"]) == (502, "out_of_memory")
    assert call(plat, "fills", {"folders": []}) == (200, "[]")
    assert call(plat, "good", {}) == (200, "good")


# --- images


IMAGES = {
    "exits": 'ENTRYPOINT ["/bin/false"]\n',
    "hangs": 'ENTRYPOINT ["sleep", "600"]\n',
}


@pytest.fixture(scope="module")
def images(runtime_images: None) -> Iterator[dict[str, str]]:
    """Runtimes that are none, by what they do."""
    names = {how: f"plat-test-{how}" for how in IMAGES}
    for how, name in names.items():
        dockerfile = "FROM plat-runtime-python\n" + IMAGES[how]
        subprocess.run(
            ["docker", "build", "-q", "-t", name, "-"],
            input=dockerfile.encode(),
            check=True,
            capture_output=True,
        )
    yield {**names, "is missing": "plat-test-that-is-not-there"}
    subprocess.run(["docker", "rmi", *names.values()], check=True, capture_output=True)


@pytest.mark.docker
@pytest.mark.parametrize(
    ("how", "told", "limit_s"),
    [("is missing", "plat-test-that-is-not-there", 2), ("exits", "status 1", 2), ("hangs", "not ready", 5)],
)
def test_an_image_that_cannot_start(
    folder: Path,
    images: dict[str, str],
    how: str,
    told: str,
    limit_s: float,
) -> None:
    """The waiting call fails with the cause, later ones too; the machine is not busy with trying again."""
    place = folder / how.replace(" ", "-")
    with platform(place, "docker") as plat:
        plat.deploy("hello", GOOD)
    variables = {"PLAT_DOCKER_PYTHON_IMAGE": images[how], "PLAT_START_TIMEOUT_S": "3"}
    with platform(place, "docker", **variables) as plat:
        began = time.monotonic()
        status, problem = call(plat, "hello", {})
        took_s = time.monotonic() - began
        log.info("an image that %s: the call failed after %.2f s", how, took_s)
        assert (status, problem["code"]) == (503, "instance_unavailable")
        assert told in problem["detail"], problem
        assert took_s < limit_s * LOADED
        calls = 0
        while time.monotonic() - began < WINDOW_S + took_s:
            assert call(plat, "hello", {})[0] == 503
            calls += 1
            time.sleep(0.05)
        starts = failed(plat, "hello")
        warm = plat.log.read_text().count("no warm instance can be made")
        log.info("%d starts and %d of warm ones for %d calls", starts, warm, calls + 1)
        assert starts <= 5, "half a second, and twice as long after each"
        assert warm <= 6
