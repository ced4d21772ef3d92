"""What a function in Docker cannot do: seen from the engine, and from inside."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.platform import Platform, platform

pytestmark = pytest.mark.docker

CODE = """
import os, socket

def attempt(what):
    try:
        what()
    except OSError as error:
        return type(error).__name__ + " " + str(error.errno)
    return "done"

def status(key):
    with open("/proc/self/status") as file:
        return next(line.split(":", 1)[1].strip() for line in file if line.startswith(key + ":"))

def handler(event, context):
    code = os.path.dirname(os.path.abspath(__file__))
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "capabilities": {key: status(key) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")},
        "no_new_privileges": status("NoNewPrivs"),
        "write_code": attempt(lambda: open(os.path.join(code, "main.py"), "a").close()),
        "add_code": attempt(lambda: open(os.path.join(code, "more.py"), "w").close()),
        "write_root": attempt(lambda: open("/etc/hosts.new", "w").close()),
        "write_tmp": attempt(lambda: open("/tmp/file", "w").close()),
        "become_root": attempt(lambda: os.setuid(0)),
        "platform_variables": [key for key in os.environ if "TOKEN" in key or "DATABASE" in key],
        "docker_socket": os.path.exists("/var/run/docker.sock"),
        "greeting": os.environ["GREETING"],
    }
"""


@pytest.fixture(scope="module")
def plat(folder: Path, runtime_images: None) -> Iterator[Platform]:
    with platform(folder, "docker") as running:
        running.deploy("caged", CODE, '[limits]\nmemory_mb = 64\ncpu = 0.5\n[env]\nGREETING = "hi"\n')
        yield running


@pytest.fixture(scope="module")
def inside(plat: Platform) -> Any:
    return json.loads(plat.plat("invoke", "caged"))


@pytest.fixture(scope="module")
def container(plat: Platform) -> Any:
    plat.plat("invoke", "caged")
    command = ["docker", "ps", "-q", "--filter", f"label=plat.instance={plat.instances('caged')[0]['id']}"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert len(names) == 1
    inspected = subprocess.run(
        ["docker", "inspect", names[0]], check=True, capture_output=True, text=True
    ).stdout
    return json.loads(inspected)[0]


def test_it_is_nobody_special(inside: Any) -> None:
    assert (inside["uid"], inside["gid"], inside["groups"]) == (1000, 1000, [1000])
    assert {int(value, 16) for value in inside["capabilities"].values()} == {0}
    assert inside["no_new_privileges"] == "1"
    assert inside["become_root"] == "PermissionError 1"


def test_it_can_write_to_tmp_only(inside: Any) -> None:
    assert inside["write_code"].startswith(("OSError 30", "PermissionError 13"))
    assert inside["add_code"].startswith(("OSError 30", "PermissionError 13"))
    assert inside["write_root"] == "OSError 30"
    assert inside["write_tmp"] == "done"


def test_it_sees_its_own_environment_only(inside: Any) -> None:
    assert inside["greeting"] == "hi"
    assert inside["platform_variables"] == []
    assert inside["docker_socket"] is False


def test_the_engine_says_the_same(container: Any) -> None:
    host = container["HostConfig"]
    assert container["Config"]["User"].startswith("1000")
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["Privileged"] is False
    assert host["ReadonlyRootfs"] is True
    assert "no-new-privileges" in " ".join(host["SecurityOpt"])
    assert (host["Memory"], host["MemorySwap"]) == (64 * 2**20, 64 * 2**20)
    assert host["NanoCpus"] == 500_000_000
    assert 0 < host["PidsLimit"] <= 1024
    assert host["Init"] is True


def test_no_port_of_the_host_is_published(container: Any) -> None:
    assert not container["HostConfig"]["PortBindings"]
    assert container["HostConfig"]["PublishAllPorts"] is False
    assert not any(container["NetworkSettings"]["Ports"].values())


def test_its_code_is_mounted_read_only(container: Any) -> None:
    mounts = {mount["Destination"]: mount["RW"] for mount in container["Mounts"]}
    assert mounts == {"/code": False, "/run/plat": True}
