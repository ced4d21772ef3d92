"""What only the Docker driver does: isolation, an engine that goes away, containers started by hand."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import aiodocker
import msgspec
import pytest

from plat.errors import PlatError
from plat.tasks import spawn
from pool.drivers import docker_network, docker_spec
from pool.drivers.docker import DockerDriver
from pool.drivers.docker_engine import Engine
from pool.health import wait_ready
from tests.integration.pool.engine_proxy import EngineProxy, engine_proxy
from tests.integration.pool.platform import PATIENCE_S, Heard, Platform, call, call_that_ends_it, eventually

pytestmark = pytest.mark.docker


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def inspect(platform: Platform, instance: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker("inspect", f"plat-hello-{instance}"))[0]
    return found


@pytest.fixture
async def proxy(data_dir: Path) -> AsyncIterator[EngineProxy]:
    async with engine_proxy(data_dir / "engine.sock") as proxy:
        yield proxy


@pytest.fixture
def proxied(docker_platform: Platform, proxy: EngineProxy) -> Platform:
    return docker_platform._replace(make=partial(DockerDriver, url=proxy.url))


async def test_the_engine_is_told_every_limit(docker_platform: Platform) -> None:
    async with docker_platform.open() as driver:
        running = await docker_platform.ready(driver, memory_mb=96)
        found = inspect(docker_platform, running.instance)
        host = found["HostConfig"]
        assert (host["Memory"], host["MemorySwap"]) == (96 << 20, 96 << 20)
        assert host["NanoCpus"] == 1_000_000_000
        assert host["PidsLimit"] == 256
        assert host["CapDrop"] == ["ALL"]
        assert host["CapAdd"] is None
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["ReadonlyRootfs"] is True
        assert host["Privileged"] is False
        assert host["Init"] is True
        assert host["RestartPolicy"]["Name"] == "no"
        assert host["PortBindings"] in ({}, None)
        assert found["NetworkSettings"]["Ports"] in ({}, None)
        assert found["Config"]["User"] == "1000:1000"
        assert {(each["Destination"], each["RW"]) for each in found["Mounts"]} == {
            ("/code", False),
            ("/run/plat", True),
        }
        await driver.stop(running.instance, grace_s=5)


FROM_INSIDE = """
import os, socket
with open("/proc/self/status") as file:
    status = dict(line.rstrip().split(":\\t", 1) for line in file if ":\\t" in line)

def refused(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.strerror
    return None

result = {
    "uid": os.getuid(),
    "gid": os.getgid(),
    "capabilities": [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")],
    "no_new_privileges": status["NoNewPrivs"],
    "code": refused("/code/main.py"),
    "new_code": refused("/code/new.py"),
    "root": refused("/opt/new"),
    "tmp": refused("/tmp/new"),
    "engine": os.path.exists("/var/run/docker.sock"),
    "interfaces": sorted(name for _, name in socket.if_nameindex()),
    "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit())[:1],
    "cwd": os.getcwd(),
}
"""


async def test_from_inside_there_is_nothing_to_take(docker_platform: Platform) -> None:
    async with docker_platform.open() as driver:
        running = await docker_platform.ready(driver)
        inside = await call(running.address, {"python": FROM_INSIDE})
        await driver.stop(running.instance, grace_s=5)
    assert inside == {
        "uid": 1000,
        "gid": 1000,
        "capabilities": [0, 0, 0, 0, 0],
        "no_new_privileges": "1",
        "code": "Read-only file system",
        "new_code": "Read-only file system",
        "root": "Read-only file system",
        "tmp": None,
        "engine": False,
        "interfaces": inside["interfaces"],
        "processes": [1],
        "cwd": "/code",
    }
    assert "eth0" not in inside["interfaces"]  # the network is "none" in these tests


async def test_more_processors_than_the_machine_has_are_as_many_as_it_has(docker_platform: Platform) -> None:
    async with docker_platform.open() as driver:
        order = docker_platform.order()
        spec = msgspec.structs.replace(order.version.spec, cpu=1000)
        order = msgspec.structs.replace(order, version=msgspec.structs.replace(order.version, spec=spec))
        running = await driver.start(order)
        assert (await driver.list())[0].instance == running.instance
        await driver.stop(running.instance, grace_s=0)


async def test_a_missing_image_names_the_command_that_builds_it(docker_platform: Platform) -> None:
    settings = msgspec.structs.replace(docker_platform.settings, docker_python_image="plat-no-such-image")
    async with docker_platform._replace(settings=settings).open() as driver:
        with pytest.raises(PlatError, match=r"plat-no-such-image.*deploy/build-images python") as raised:
            await driver.start(docker_platform.order())
        assert raised.value.code == "instance_start_failed"
        assert await driver.list() == []
    assert list((settings.run_dir / "instances").iterdir()) == []


async def test_a_network_that_does_not_exist_is_named(docker_platform: Platform) -> None:
    settings = msgspec.structs.replace(docker_platform.settings, docker_network="plat-no-such-network")
    async with docker_platform._replace(settings=settings).open() as driver:
        with pytest.raises(PlatError, match="docker network create plat-no-such-network"):
            await driver.start(docker_platform.order())
        assert await driver.list() == []


@pytest.fixture
def our_network(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A name of the test's own in place of the one that every platform on the engine shares."""
    name = f"plat-test-{data_dir.name}"
    monkeypatch.setattr(docker_network, "OUR_NETWORK", name)
    yield name
    left = networks().count(name)
    if left:
        docker("network", "rm", name)
    assert not left, "a driver that is closed leaves no network of ours"


def networks() -> list[str]:
    return docker("network", "ls", "--format", "{{.Name}}").split()


async def test_the_platforms_network_is_made_on_demand_and_publishes_nothing(
    docker_platform: Platform, our_network: str
) -> None:
    settings = msgspec.structs.replace(docker_platform.settings, docker_network=our_network)
    async with docker_platform._replace(settings=settings).open() as driver:
        one, two = await asyncio.gather(docker_platform.ready(driver), docker_platform.ready(driver))
        found = inspect(docker_platform, one.instance)
        assert list(found["NetworkSettings"]["Networks"]) == [our_network]
        assert not any(found["NetworkSettings"]["Ports"].values())
        [network] = json.loads(docker("network", "inspect", our_network))
        assert network["Options"]["com.docker.network.bridge.enable_icc"] == "false"
        await asyncio.gather(*(driver.stop(each.instance, grace_s=5) for each in (one, two)))


async def test_two_networks_of_our_name_become_one_again(docker_platform: Platform, our_network: str) -> None:
    """What two platforms that start in the same moment may leave: the engine does not prevent it."""
    async with aiodocker.Docker() as engine:
        config = {**docker_spec.network(our_network), "CheckDuplicate": False}
        await engine.networks.create(config)
        await engine.networks.create(config)
    settings = msgspec.structs.replace(docker_platform.settings, docker_network=our_network)
    async with docker_platform._replace(settings=settings).open() as driver:
        running = await docker_platform.ready(driver)
        assert networks().count(our_network) == 1
        await driver.stop(running.instance, grace_s=5)


async def test_a_network_that_another_platform_uses_stays_and_one_it_removed_comes_again(
    docker_platform: Platform, our_network: str
) -> None:
    settings = msgspec.structs.replace(docker_platform.settings, docker_network=our_network)
    platform = docker_platform._replace(settings=settings)
    async with platform.open() as driver:
        first = await platform.ready(driver)
        async with platform.open():
            pass
        assert networks().count(our_network) == 1
        await driver.stop(first.instance, grace_s=5)
        docker("network", "rm", our_network)
        second = await platform.ready(driver)
        await driver.stop(second.instance, grace_s=5)


async def test_what_is_on_a_network(docker_platform: Platform, our_network: str) -> None:
    settings = msgspec.structs.replace(docker_platform.settings, docker_network=our_network)
    async with aclosing(Engine()) as engine, docker_platform._replace(settings=settings).open() as driver:
        running = await docker_platform.ready(driver)
        [network] = await engine.networks(our_network)
        assert await engine.is_network_in_use(network)
        await driver.stop(running.instance, grace_s=5)
        assert not await engine.is_network_in_use(network)
        await engine.remove_network(network)
        assert not await engine.is_network_in_use(network)


async def test_a_container_removed_by_somebody_else_is_told_as_ended(docker_platform: Platform) -> None:
    heard = Heard()
    async with docker_platform.open(heard) as driver:
        running = await docker_platform.ready(driver)
        docker("rm", "--force", f"plat-hello-{running.instance}")
        await eventually(lambda: heard.exits, "its end is told")
        assert heard.exits[0].instance == running.instance
        await eventually(
            lambda: not list((docker_platform.settings.run_dir / "instances").iterdir()), "cleared"
        )


async def test_what_a_killed_pool_created_and_never_started_is_removed(docker_platform: Platform) -> None:
    order = docker_platform.order()
    place = docker_spec.Place(docker_spec.owner_of(docker_platform.settings), "none", 1, 1000)
    config = docker_spec.container(order, "unused", place, Path("/nowhere"))
    labels = [f"--label={name}={value}" for name, value in config["Labels"].items()]
    docker("create", "--name", docker_spec.name_of(order), *labels, "plat-runtime-python")
    async with docker_platform.open() as driver:
        assert await driver.list() == []
    assert docker("ps", "--all", "--quiet", "--filter", f"name={docker_spec.name_of(order)}") == ""


# --- an engine that goes away


async def test_without_an_engine_it_does_not_open(docker_platform: Platform, data_dir: Path) -> None:
    driver = DockerDriver(docker_platform.settings, url=f"unix://{data_dir}/no.sock")
    with pytest.raises(PlatError, match=r"no\.sock") as raised:
        await driver.open(Heard().listener)
    assert raised.value.code == "engine_unavailable"


async def test_while_the_engine_is_away_calls_go_on_and_starts_say_so(
    proxied: Platform, proxy: EngineProxy
) -> None:
    heard = Heard()
    async with proxied.open(heard) as driver:
        running = await proxied.ready(driver)
        await proxy.cut()
        assert await call(running.address, {"echo": "still here"}) == "still here"
        for attempt in (driver.start(proxied.order()), driver.list(), driver.stop(running.instance, 1)):
            with pytest.raises(PlatError) as raised:
                await attempt
            assert raised.value.code == "engine_unavailable"
        assert heard.exits == []

        await proxy.start()
        changes = heard.changes
        await eventually(lambda: heard.changes > changes, "the driver asks to list again")
        assert [each.instance for each in await driver.list()] == [running.instance]
        await call(running.address, {"print": ["after the gap"]})
        await eventually(lambda: "after the gap" in heard.messages(running.instance), "its log goes on")
        assert heard.messages(running.instance) == ["imported", "after the gap"]
        other = await proxied.ready(driver)
        await asyncio.gather(*(driver.stop(each.instance, grace_s=5) for each in (running, other)))
        assert await driver.list() == []
    assert heard.exits == []


async def test_an_end_during_the_gap_is_told_after_it(proxied: Platform, proxy: EngineProxy) -> None:
    heard = Heard()
    async with proxied.open(heard) as driver:
        one, two = await asyncio.gather(proxied.ready(driver), proxied.ready(driver))
        await proxy.cut()
        await call(one.address, {"print": ["said in the gap"]})
        await call_that_ends_it(one.address, {"exit": 5})
        docker("rm", "--force", f"plat-hello-{two.instance}")
        assert heard.exits == []
        await proxy.start()
        await eventually(lambda: len(heard.exits) == 2, "both ends are told")
        reasons = {each.instance: (each.reason, each.detail) for each in heard.exits}
        assert reasons[one.instance] == ("exited", "The process exited with status 5.")
        assert reasons[two.instance][0] == "unknown"
        assert heard.messages(one.instance) == ["imported", "said in the gap"]
        assert heard.messages(one.instance, "stderr") == ["the last words"]
        assert await driver.list() == []


async def test_the_watch_survives_many_gaps(proxied: Platform, proxy: EngineProxy) -> None:
    heard = Heard()
    async with proxied.open(heard) as driver:
        running = await proxied.ready(driver)
        for _ in range(3):
            heard.changes = 0
            await proxy.cut()
            await proxy.start()
            await eventually(lambda: heard.changes, "the driver asks to list again")
        await call_that_ends_it(running.address, {"exit": 1})
        await eventually(lambda: heard.exits, "its end is told")
        assert await driver.list() == []


# --- containers that somebody starts by hand


@pytest.fixture
def by_hand(docker_platform: Platform, request: pytest.FixtureRequest) -> Any:
    """Start a container as a user would; gone after the test."""
    names: list[str] = []

    def run(*options: str, command: str) -> str:
        name = f"plat-test-{docker_platform.settings.data_dir.name}-{len(names)}"
        names.append(name)
        docker(
            "run",
            "--detach",
            "--name",
            name,
            *options,
            "--entrypoint",
            "python3",
            "plat-runtime-python",
            "-c",
            command,
        )
        return name

    yield run
    for name in names:
        docker("rm", "--force", "--volumes", name)


SERVE = "import http.server as h; h.HTTPServer(('', {port}), h.SimpleHTTPRequestHandler).serve_forever()"


async def test_a_container_started_by_hand_with_the_label_is_listed(
    docker_platform: Platform, by_hand: Any
) -> None:
    owner = docker_spec.owner_of(docker_platform.settings)
    heard = Heard()
    async with docker_platform.open(heard) as driver:
        await eventually(lambda: heard.changes, "the events are watched")
        changes = heard.changes
        labels = ["--label=plat.function=hand", "--label=plat.version=3", "--label=plat.port=9000"]
        name = by_hand(*labels, f"--label=plat.owner={owner}", command=SERVE.format(port=9000))
        await eventually(lambda: heard.changes > changes, "it is noticed")
        [found] = [each for each in await driver.list() if each.function == "hand"]
        address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name)
        assert (found.managed, found.number, found.version_id) == (False, 3, "")
        assert found.address == f"tcp:{address}:9000"
        await wait_ready(found.address, time.monotonic() + PATIENCE_S)

        changes = heard.changes
        docker("kill", name)
        await eventually(lambda: heard.changes > changes, "its end is noticed")
        assert [each for each in await driver.list() if each.function == "hand"] == []


async def test_one_that_belongs_to_another_platform_is_left_to_it(
    docker_platform: Platform, by_hand: Any
) -> None:
    async with docker_platform.open() as driver:
        by_hand(
            "--label=plat.function=hand", "--label=plat.owner=another", command="import time; time.sleep(60)"
        )
        assert [each for each in await driver.list() if each.function == "hand"] == []


async def test_one_that_was_started_while_the_machine_was_listed_stays(
    docker_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listing saw it created; by the time it is looked at, it runs."""
    async with docker_platform.open() as driver:
        assert isinstance(driver, DockerDriver)
        engine = driver._engine
        start, listing = engine.start, engine.list
        listed = asyncio.Event()

        async def start_when_listed(container: str) -> None:
            await listed.wait()
            await start(container)

        async def list_slowly(*labels: str, everything: bool) -> list[dict[str, Any]]:
            found = await listing(*labels, everything=everything)
            if everything and any(each["State"] == "created" for each in found):
                listed.set()
                await starting
            return found

        monkeypatch.setattr(engine, "start", start_when_listed)
        monkeypatch.setattr(engine, "list", list_slowly)
        starting = spawn(driver.start(docker_platform.order()), "start")
        while not listed.is_set():
            await driver.list()
        running = await starting
        assert [each.instance for each in await driver.list()] == [running.instance]
        await driver.stop(running.instance, grace_s=5)
