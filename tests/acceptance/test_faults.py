"""What a function does wrong, and what its caller is told. The next call always works."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.acceptance.platform import Platform

CODE = """
import ctypes, os, sys, time

def handler(event, context):
    what = event["do"]
    if what == "raise":
        raise ValueError("no luck today")
    if what == "exit":
        os._exit(3)
    if what == "sys.exit":
        sys.exit(4)
    if what == "segfault":
        ctypes.string_at(0)
    if what == "memory":
        kept = [bytearray(os.urandom(1024) * 8192) for _ in range(100)]
        return len(kept)
    if what == "loop":
        while True:
            pass
    if what == "sleep":
        time.sleep(event["seconds"])
    return "fine"
"""

TOML = "[limits]\ntimeout_s = 2\nmemory_mb = 64\n"


def call(plat: Platform, name: str, event: Any) -> tuple[int, Any]:
    """Status and body: text, or the JSON of a problem."""
    request = urllib.request.Request(
        f"{plat.url}/function/{name}",
        data=json.dumps(event).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        assert error.headers["Content-Type"] == "application/problem+json"
        problem = json.loads(error.read())
        assert problem["status"] == error.code
        assert problem["call_id"] == error.headers["X-Call-Id"]
        return error.code, problem


@pytest.fixture(scope="module")
def wild(plat: Platform) -> Platform:
    plat.deploy("wild", CODE, TOML)
    return plat


@pytest.mark.parametrize(
    ("do", "status", "code", "reason"),
    [
        ("raise", 500, "function_error", None),
        ("exit", 502, "instance_crashed", "exited"),
        ("sys.exit", 502, "instance_crashed", "exited"),
        ("segfault", 502, "instance_crashed", "signalled"),
        ("memory", 502, "instance_crashed", "out_of_memory"),
        ("loop", 504, "timeout", None),
    ],
)
def test_the_caller_is_told_and_the_next_call_works(
    wild: Platform, do: str, status: int, code: str, reason: str | None
) -> None:
    got, problem = call(wild, "wild", {"do": do})
    assert (got, problem["code"], problem.get("reason")) == (status, code, reason), problem
    assert call(wild, "wild", {"do": "nothing"}) == (200, "fine")


def test_the_cause_of_a_crash_is_in_the_log(wild: Platform) -> None:
    assert call(wild, "wild", {"do": "raise"})[0] == 500
    assert call(wild, "wild", {"do": "segfault"})[0] == 502
    log = wild.wait_for(lambda: (text := wild.plat("logs", "wild")) and "Segmentation fault" in text and text)
    assert "ValueError: no luck today" in log


def test_an_error_names_its_type_and_message(wild: Platform) -> None:
    _, problem = call(wild, "wild", {"do": "raise"})
    assert problem["detail"] == "ValueError: no luck today"


def test_a_slow_call_does_not_hold_up_others(wild: Platform) -> None:
    outcome = call(wild, "wild", {"do": "sleep", "seconds": 0.5})
    assert outcome == (200, "fine")
