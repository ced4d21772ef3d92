"""What was done with a function's instances, and why, as a user asks for it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.acceptance.platform import Platform, platform

DEADLINE_S = 30.0

CODE = """
import pathlib

if pathlib.Path("{flag}").exists():
    raise ValueError("broken on purpose")

def handler(event, context):
    return "hi"
"""

SCALE = """
[scale]
max = 2
idle_s = 2
pause_after_s = 0.5
"""

WINDOW = """
[[scale.window]]
cron = "* * * * *"
min = 2
"""


def explained(plat: Platform, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The first decision about `hi` for which it is so, as soon as there is one."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        decisions: list[dict[str, Any]] = plat.plat_json("explain", "hi")
        for each in decisions:
            if condition(each):
                return each
    raise AssertionError(decisions)


def test_the_life_of_instances_is_told(folder: Path) -> None:
    flag = folder / "broken"
    with platform(folder, "process") as plat:
        plat.deploy("hi", CODE.format(flag=flag), SCALE)
        first = plat.plat_json("explain", "hi")[0]
        assert (first["version"], first["inputs"]) == (1, None)
        assert "deployed" in first["reason"]
        stopped = explained(plat, lambda each: each["stop"])
        assert stopped["start"] == 0
        assert stopped["inputs"]["max"] == 2

        plat.plat("invoke", "hi")
        started = explained(plat, lambda each: each["start"])
        assert (started["start"], started["inputs"]["queued"], started["inputs"]["ready"]) == (1, 1, 0)
        paused = explained(plat, lambda each: each["pause"])
        assert len(paused["pause"]) == 1

        explained(plat, lambda each: each["stop"] and each["at"] > started["at"])
        flag.touch()
        assert plat.run("invoke", "hi").code == 1
        failed = explained(plat, lambda each: "a start failed" in each["reason"])
        assert "broken on purpose" in failed["reason"]
        flag.unlink()
        assert "broken on purpose" in plat.plat("explain", "hi")


def test_a_minimum_by_the_clock_is_kept_and_told(folder: Path) -> None:
    with platform(folder, "process") as plat:
        plat.deploy("hi", CODE.format(flag=folder / "never"), SCALE)
        explained(plat, lambda each: each["stop"])
        assert plat.instances("hi") == []
        plat.write("hi", CODE.format(flag=folder / "never"), SCALE + WINDOW)
        assert plat.plat_json("deploy", str(plat.folder / "functions" / "hi"))["unchanged"]
        plat.wait_for(lambda: [each["state"] for each in plat.instances("hi")] == ["ready", "ready"])
        explained(plat, lambda each: each["start"] and each["inputs"]["min"] == 2)
