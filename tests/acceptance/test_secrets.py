"""Secrets from outside: functions that name them have them; after a whole run they are found nowhere else."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.platform import Platform
from tests.acceptance.platform import platform as running_platform

CODE = """
import os

def handler(event, context):
    return {name: os.environ.get(name) for name in ("DB_URL", "API_KEY", "GREETING")}
"""
BROKEN = """
import os

raise ValueError("cannot reach " + os.environ["DB_URL"])
"""
FIRST, SECOND, OTHER = "postgres://u:f1rst-hunter2@db", "postgres://u:s3cond-hunter2@db", "k3y-hunter2-other"
MARK = "hunter2"
"""In every value, and in nothing else."""

SECRETS = 'secrets = ["DB_URL", "API_KEY"]\n[env]\nGREETING = "hi"'


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    with running_platform(tmp_path, request.param, PLAT_LOG_LEVEL="debug") as running:
        yield running


def called(platform: Platform, name: str) -> Any:
    return json.loads(platform.plat("invoke", name))


def keep(platform: Platform, name: str, value: str) -> None:
    platform.plat("secret", "set", name, stdin=value.encode())


def test_a_whole_run(platform: Platform) -> None:
    refused = platform.run("deploy", str(platform.write("hello", CODE, SECRETS)))
    assert refused.code == 1 and '"DB_URL"' in refused.err
    keep(platform, "DB_URL", FIRST)
    keep(platform, "API_KEY", OTHER)
    platform.deploy("hello", CODE, SECRETS)
    platform.deploy("other", CODE)
    everything = {"DB_URL": FIRST, "API_KEY": OTHER, "GREETING": "hi"}
    assert called(platform, "hello") == everything
    assert called(platform, "other") == dict.fromkeys(everything)

    in_use = platform.run("secret", "delete", "DB_URL")
    assert in_use.code == 1 and '"hello"' in in_use.err
    assert_nowhere(platform)

    keep(platform, "DB_URL", SECOND)
    platform.wait_for(lambda: called(platform, "hello")["DB_URL"] == SECOND)
    platform.plat("secret", "rotate")
    platform.kill("core")
    platform.wait_for(lambda: platform.run("secret", "list").code == 0)
    assert called(platform, "hello") == {**everything, "DB_URL": SECOND}
    platform.plat("stop", "hello")
    platform.plat("start", "hello")
    assert called(platform, "hello") == {**everything, "DB_URL": SECOND}
    assert_nowhere(platform)
    assert_written_down(platform)


def test_an_error_of_a_deploy_does_not_repeat_them(platform: Platform) -> None:
    keep(platform, "DB_URL", FIRST)
    broken = platform.run("deploy", str(platform.write("broken", BROKEN, 'secrets = ["DB_URL"]')), "--json")
    said = broken.out + broken.err + platform.plat("show", "broken", "--json") + platform.log.read_text()
    assert broken.code == 1 and "cannot reach [secret DB_URL]" in said
    assert MARK not in said


def test_what_cannot_be_had_with_secrets_is_refused(platform: Platform) -> None:
    keep(platform, "DB_URL", FIRST)
    for more in ("[limits]\nmemory_mb = 31", '[env]\nPYTHONMALLOC = "malloc"'):
        refused = platform.run("deploy", str(platform.write("hello", CODE, f'secrets = ["DB_URL"]\n{more}')))
        assert refused.code == 1 and "with secrets needs at least 32 MB" in refused.err
    both = platform.run("deploy", str(platform.write("hello", CODE, 'secrets = ["A"]\n[env]\nA = "b"')))
    assert both.code == 2 and "env has that name too" in both.err


def test_without_warm_instances_a_start_takes_two_steps(tmp_path: Path) -> None:
    with running_platform(tmp_path, "process", PLAT_WARM="0") as platform:
        keep(platform, "DB_URL", FIRST)
        keep(platform, "API_KEY", OTHER)
        platform.deploy("hello", CODE, SECRETS)
        assert called(platform, "hello")["API_KEY"] == OTHER
        assert_nowhere(platform)


def assert_nowhere(platform: Platform) -> None:
    """While it runs: what can be asked, what can be seen of processes and containers, what is on the disk."""
    shown = [
        platform.plat(*command)
        for command in (
            ("list", "--json"),
            ("show", "hello", "--json"),
            ("logs", "hello", "--tail", "1000"),
            ("explain", "hello", "--json"),
            ("secret", "list", "--json"),
            ("audit", "--json"),
        )
    ]
    with urllib.request.urlopen(f"http://127.0.0.1:{platform.admin_port}/metrics") as metrics:
        shown.append(metrics.read().decode())
    assert not [text for text in shown if MARK in text]
    assert not [path for path in Path("/proc").glob("[0-9]*/environ") if MARK.encode() in _read(path)]
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if MARK.encode() in _read(path)]
    if platform.driver == "docker":
        assert MARK not in inspected()
    assert_not_in_files(platform)


def inspected() -> str:
    ids = subprocess.run(["docker", "ps", "-aq"], capture_output=True, check=True).stdout.decode().split()
    found = subprocess.run(["docker", "inspect", *ids], capture_output=True, check=False).stdout.decode()
    assert '"plat.owner"' in found
    return found


def assert_not_in_files(platform: Platform) -> None:
    """The database with its journal, logs, records of instances, unpacked code: all of it is below here."""
    files = [path for path in platform.folder.rglob("*") if path.is_file()]
    assert any(path.name == "plat.db" for path in files)
    assert [path for path in files if MARK.encode() in _read(path)] == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # a process that has ended, or is another user's
        return b""


def assert_written_down(platform: Platform) -> None:
    entries = platform.plat_json("audit", "--limit", "1000")
    told = [(each["action"], each["function"], each["object"], each["outcome"]) for each in reversed(entries)]
    for expected in (
        ("deploy", "hello", None, "unknown_secret"),
        ("set_secret", None, "DB_URL", "ok"),
        ("deploy", "hello", "version 1", "ok"),
        ("delete_secret", None, "DB_URL", "secret_in_use"),
        ("rotate_secrets", None, None, "ok"),
        ("stop", "hello", None, "ok"),
    ):
        assert told.count(expected) == 1 + (expected[0] == "set_secret"), (expected, told)
    assert {each["actor"] for each in entries} == {"admin"}
    assert {each["address"] for each in entries} == {"127.0.0.1"}
