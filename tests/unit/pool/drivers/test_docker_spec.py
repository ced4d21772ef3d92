"""What the engine is asked for, and what labels say."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from plat.settings import Settings
from pool.drivers import docker_spec as spec
from pool.drivers.base import Kind
from tests.unit.pool.drivers.orders import a_warm_order, an_order

PLACE = spec.Place(owner="me", network="plat", processors=2, user=1000)
OURS = {
    "plat.owner": "me",
    "plat.instance": "0123456789abcdef",
    "plat.function": "hello",
    "plat.version": "7",
    "plat.version_id": "version-1",
}


def config(**options: Any) -> Any:
    return spec.container(an_order(**options), "image", PLACE, Path("/run/i"))


def test_nothing_is_left_open() -> None:
    host = config()["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True
    assert host["PidsLimit"] == 256
    assert host["NetworkMode"] == "plat"
    assert host["RestartPolicy"] == {"Name": "no"}
    assert "PortBindings" not in host
    assert "ExposedPorts" not in config()
    assert config()["User"] == "1000:1000"


def test_limits() -> None:
    host = config(memory_mb=64, cpu=0.25)["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 64 << 20
    assert host["NanoCpus"] == 250_000_000
    assert "size=33554432" in host["Tmpfs"]["/tmp"]
    assert config(cpu=16)["HostConfig"]["NanoCpus"] == 2_000_000_000


def test_what_is_mounted() -> None:
    code, run = config()["HostConfig"]["Mounts"]
    assert (code["Source"], code["Target"], code["ReadOnly"]) == ("/data/code/abab", "/code", True)
    assert (run["Source"], run["Target"], run["ReadOnly"]) == ("/run/i", "/run/plat", False)


def test_the_environment_is_that_of_inside() -> None:
    env = dict(each.split("=", 1) for each in config(env={"A": "b=c"})["Env"])
    assert env["A"] == "b=c"
    assert (env["PLAT_SOCKET"], env["PLAT_CODE"]) == ("/run/plat/http.sock", "/code")


def warm_config() -> Any:
    return spec.warm_container(a_warm_order(), "image", PLACE, Path("/run/i"), Path("/data/warm/i"))


def test_a_warm_container_differs_in_its_code_and_in_what_it_knows() -> None:
    """Every limit is that of one that was started with a function of its kind."""
    warm, cold = warm_config(), config()
    assert warm["HostConfig"]["Mounts"][0]["Source"] == "/data/warm/i"
    assert warm["HostConfig"]["Mounts"][0]["ReadOnly"]
    assert not any("PLAT_HANDLER" in each or "PLAT_FUNCTION" in each for each in warm["Env"])
    for container in (warm, cold):
        container["HostConfig"]["Mounts"].pop(0)
        del container["Env"], container["Labels"]
    assert warm == cold


def test_an_instance_is_told_that_its_folder_will_be_closed_whatever_the_user_says() -> None:
    assert "PLAT_SEALED=1" in config(env={"PLAT_SEALED": ""})["Env"]
    assert "PLAT_SEALED=" not in config(env={"PLAT_SEALED": ""})["Env"]
    own = PLACE._replace(seals=False)
    assert not any("SEALED" in each for each in spec.container(an_order(), "i", own, Path("/r"))["Env"])


def listed(*names: str, state: str = "running", **labels: str) -> spec.Json:
    return {
        "Names": list(names),
        "Labels": {**warm_config()["Labels"], **labels},
        "Created": 1767323045,
        "State": state,
    }


def test_a_warm_one_is_listed_as_what_it_can_become() -> None:
    running = spec.ours(listed("/plat-warm-0123456789abcdef"), Path("/run"))
    assert running.kind == a_warm_order().kind
    assert (running.function, running.number, running.version_id, running.paused) == ("", 0, "", False)


def test_a_warm_one_that_was_given_a_function_has_it_in_its_name() -> None:
    name = spec.placed_name(an_order())
    running = spec.ours(listed("/elsewhere/alias", f"/{name}", state="paused"), Path("/run"))
    assert (running.function, running.number, running.version_id) == ("hello", 7, "version-1")
    assert running.kind is None
    assert running.paused


@pytest.mark.parametrize("version_id", ["0123456789abcdef", "v.1", "1.2.3", "a_b-c"])
def test_any_id_of_a_version_comes_back(version_id: str) -> None:
    order = an_order()
    version = msgspec.structs.replace(order.version, id=version_id, function="a-1-b")
    name = spec.placed_name(msgspec.structs.replace(order, version=version))
    running = spec.ours(listed(f"/{name}"), Path("/run"))
    assert (running.function, running.number, running.version_id) == ("a-1-b", 7, version_id)


@pytest.mark.parametrize(
    "name", ["plat-warm-0123456789abcdef", "by-hand", "plat-hello.x.v.0123456789abcdef", "plat-a.7.v.xyz"]
)
def test_a_name_that_says_nothing_leaves_it_warm(name: str) -> None:
    assert spec.ours(listed(f"/{name}"), Path("/run")).kind == a_warm_order().kind


def test_a_name_makes_nothing_of_one_that_was_started_with_its_function() -> None:
    summary = {"Labels": OURS, "Created": 1, "State": "running", "Names": ["/plat-x.1.v.0123456789abcdef"]}
    assert spec.ours(summary, Path("/run")).function == "hello"


@pytest.mark.parametrize("label", ["", "{}", '{"runtime": 1}', "warm"])
def test_a_kind_that_cannot_be_read_is_none_of_any_function(label: str) -> None:
    found = spec.ours(listed("/plat-warm-0123456789abcdef", **{"plat.warm": label}), Path("/run")).kind
    assert found == Kind("", 0, 0)


def test_names_of_new_containers() -> None:
    assert spec.name_of(an_order()) == "plat-hello-0123456789abcdef"
    assert spec.name_of(a_warm_order()) == "plat-warm-0123456789abcdef"


def test_labels_hold_all_that_a_listing_must_give_back() -> None:
    assert config()["Labels"] == OURS
    summary = {"Labels": OURS, "Created": 1767323045, "State": "running"}
    running = spec.ours(summary, Path("/run/instances"))
    assert running.address == "unix:/run/instances/0123456789abcdef/http.sock"
    assert (running.function, running.number, running.version_id) == ("hello", 7, "version-1")
    assert running.managed


def test_two_data_folders_are_two_owners() -> None:
    assert spec.owner_of(Settings(data="/a")) != spec.owner_of(Settings(data="/b"))
    assert spec.owner_of(Settings(data="/a")) == spec.owner_of(Settings(data="/a"))


@pytest.mark.parametrize(
    ("labels", "ours", "foreign"),
    [
        (OURS, True, False),
        ({**OURS, "plat.owner": "other"}, False, False),
        ({"plat.function": "hello"}, False, True),
        ({"plat.function": "hello", "plat.owner": "me"}, False, True),
        ({"plat.function": "hello", "plat.owner": "other"}, False, False),
        ({"other": "x"}, False, False),
    ],
)
def test_whose_a_container_is(labels: dict[str, str], ours: bool, foreign: bool) -> None:
    assert (spec.is_ours(labels, "me"), spec.is_foreign(labels, "me")) == (ours, foreign)


def by_hand(address: str = "172.17.0.2", **labels: str) -> spec.Json:
    return {
        "Id": "c0ffee" * 10,
        "Labels": {"plat.function": "hello", **{f"plat.{name}": value for name, value in labels.items()}},
        "Created": 1767323045,
        "NetworkSettings": {"Networks": {"none": {"IPAddress": ""}, "bridge": {"IPAddress": address}}},
    }


def test_one_started_by_hand() -> None:
    running = spec.foreign(by_hand())
    assert running is not None
    assert (running.address, running.number, running.version_id) == ("tcp:172.17.0.2:8080", 0, "")
    assert not running.managed
    assert len(running.instance) == 16
    other = spec.foreign(by_hand(port="9000", version="3"))
    assert other is not None
    assert (other.address, other.number) == ("tcp:172.17.0.2:9000", 3)


@pytest.mark.parametrize(
    "summary",
    [
        by_hand(address=""),
        by_hand(port="http"),
        by_hand(port="0"),
        by_hand(port="65536"),
        by_hand(version="-1"),
    ],
)
def test_one_whose_labels_make_no_sense_is_left_alone(summary: spec.Json) -> None:
    assert spec.foreign(summary) is None


def test_our_network_keeps_functions_apart() -> None:
    assert spec.network("plat")["Options"] == {"com.docker.network.bridge.enable_icc": "false"}


def test_images_by_runtime() -> None:
    settings = Settings(docker_python_image="p", docker_node_image="n")
    assert [spec.image_of(settings, name) for name in ("python", "node", "go")] == ["p", "n", None]
