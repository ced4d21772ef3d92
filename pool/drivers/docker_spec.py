"""What a container of ours looks like to the engine, and what its labels say. No I/O.

The labels are the pool's memory: whatever `list` must know after a restart is in them.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from plat.settings import Settings
from pool.drivers.base import Kind, Running, StartOrder, WarmOrder
from pool.drivers.environment import environment, warm_environment

OWNER = "plat.owner"
INSTANCE = "plat.instance"
FUNCTION = "plat.function"
VERSION = "plat.version"
VERSION_ID = "plat.version_id"
PORT = "plat.port"
WARM = "plat.warm"
"""What a container that was started warm can become: a `Kind` in JSON. It stays when it has become it."""

CODE = "/code"
RUN = "/run/plat"
SOCKET = "http.sock"
DEFAULT_PORT = "8080"
FUNCTION_USER = 1000
PIDS_LIMIT = 256
OUR_NETWORK = "plat"
SYSTEM = {"HOME": "/tmp", "TMPDIR": "/tmp"}  # noqa: S108 - a tmpfs of its own
SEALED = "PLAT_SEALED"
"""Tells a runtime that the folder of its socket will be closed to it: it runs no function's code before."""
STOPPED = frozenset({"created", "exited", "dead"})
RUNS = frozenset({"running", "paused", "restarting"})
PAUSED = "paused"
NO_KIND = Kind("", 0, 0)
"""No function is of it: a warm container that is not to be used."""

_PLACED = re.compile(
    r"/plat-(?P<function>[a-z0-9-]+)\.(?P<number>[0-9]+)\.(?P<version_id>[a-zA-Z0-9_.-]+)\.[0-9a-f]{16}"
)

Json = dict[str, Any]


class Place(NamedTuple):
    """What all containers of one platform on one machine share."""

    owner: str
    network: str
    processors: int
    user: int
    seals: bool = True
    """Whether the folder of a socket can be closed to the container: it is another user's then."""

    @classmethod
    def of(cls, settings: Settings, processors: int) -> "Place":
        """Not as root, the containers' user is the platform's own, so that it can reach their sockets."""
        own = os.getuid()
        return cls(
            owner_of(settings), settings.docker_network, processors, own or FUNCTION_USER, seals=own == 0
        )


def owner_of(settings: Settings) -> str:
    """Two platforms on one engine have two data folders."""
    return hashlib.sha256(os.fsencode(settings.data_dir)).hexdigest()[:16]


def image_of(settings: Settings, runtime: str) -> str | None:
    return {"python": settings.docker_python_image, "node": settings.docker_node_image}.get(runtime)


def name_of(order: StartOrder | WarmOrder) -> str:
    """Of a new container. A function's name has no dot: only of a placed one has the name any."""
    return f"plat-{'warm' if isinstance(order, WarmOrder) else order.version.function}-{order.instance}"


def placed_name(order: StartOrder) -> str:
    """Labels cannot change while a container runs, its name can: so it says whose a warm one has become."""
    version = order.version
    return f"plat-{version.function}.{version.number}.{version.id}.{order.instance}"


def container(order: StartOrder, image: str, place: Place, run: Path) -> Json:
    """The body of `POST /containers/create`. `run` becomes the folder with the socket."""
    labels = {
        OWNER: place.owner,
        INSTANCE: order.instance,
        FUNCTION: order.version.function,
        VERSION: str(order.version.number),
        VERSION_ID: order.version.id,
    }
    variables = environment(order, SYSTEM, socket=f"{RUN}/{SOCKET}", code=CODE)
    return _container(Kind.of(order.version.spec), labels, variables, image, place, order.code, run)


def warm_container(order: WarmOrder, image: str, place: Place, run: Path, code: Path) -> Json:
    """One without a function; `code` is the folder of its own that will hold the function's."""
    labels = {
        OWNER: place.owner,
        INSTANCE: order.instance,
        FUNCTION: "",  # the label by which the engine tells us of events
        WARM: msgspec.json.encode(order.kind).decode(),
    }
    variables = warm_environment(order, SYSTEM, socket=f"{RUN}/{SOCKET}")
    return _container(order.kind, labels, variables, image, place, code, run)


def _container(
    kind: Kind,
    labels: Mapping[str, str],
    variables: Mapping[str, str],
    image: str,
    place: Place,
    code: Path,
    run: Path,
) -> Json:
    seal = {SEALED: "1"} if place.seals else {}
    return {
        "Image": image,
        "Env": [f"{name}={value}" for name, value in {**variables, **seal}.items()],
        "User": f"{place.user}:{place.user}",
        "WorkingDir": CODE,
        "StopSignal": "SIGTERM",
        "Labels": dict(labels),
        "HostConfig": {
            **_limits(kind, place),
            **_isolation(place),
            "Mounts": [_bind(code, CODE, read_only=True), _bind(run, RUN, read_only=False)],
            "Init": True,
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}},
        },
    }


def _limits(kind: Kind, place: Place) -> Json:
    memory = kind.memory_mb * 1024 * 1024
    return {
        "Memory": memory,
        "MemorySwap": memory,  # equal: no swap
        # The engine refuses more processors than the machine has.
        "NanoCpus": int(min(kind.cpu, place.processors) * 1e9),
        "PidsLimit": PIDS_LIMIT,
        "Tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={memory // 2}"},  # noqa: S108
        "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
    }


def _isolation(place: Place) -> Json:
    return {
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": True,
        "NetworkMode": place.network,
    }


def _bind(source: Path, target: str, *, read_only: bool) -> Json:
    """A mount, not a bind string: it takes colons in paths, and never makes a missing source."""
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": read_only}


def network(name: str) -> Json:
    """Functions reach the outside and the machine, not each other."""
    return {
        "Name": name,
        "Driver": "bridge",
        "CheckDuplicate": True,
        "Options": {"com.docker.network.bridge.enable_icc": "false"},
    }


def is_ours(labels: Mapping[str, str], owner: str) -> bool:
    return labels.get(OWNER) == owner and INSTANCE in labels


def is_foreign(labels: Mapping[str, str], owner: str) -> bool:
    """Started by hand with the function's label; one that names another platform is that platform's."""
    return FUNCTION in labels and INSTANCE not in labels and labels.get(OWNER, owner) == owner


def ours(summary: Json, instances: Path) -> Running:
    """From an item of `GET /containers/json`."""
    labels = summary["Labels"]
    running = Running(
        instance=labels[INSTANCE],
        version_id=labels.get(VERSION_ID, ""),
        function=labels[FUNCTION],
        number=int(labels.get(VERSION, 0)),
        address=f"unix:{instances / labels[INSTANCE] / SOCKET}",
        started_at=datetime.fromtimestamp(summary["Created"], UTC),
        paused=summary["State"] == PAUSED,
    )
    return _as_placed(running, summary) if WARM in labels else running


def _as_placed(running: Running, summary: Json) -> Running:
    """What a warm one has become, if it has. It stays warm for one whom somebody gave another name."""
    match = next(filter(None, map(_PLACED.fullmatch, summary["Names"])), None)
    if match is None:
        return msgspec.structs.replace(running, kind=_kind(summary["Labels"][WARM]))
    return msgspec.structs.replace(
        running, function=match["function"], number=int(match["number"]), version_id=match["version_id"]
    )


def _kind(label: str) -> Kind:
    """Of a platform that wrote it otherwise: a kind that no function is of, so that it is not kept."""
    try:
        return msgspec.json.decode(label, type=Kind)
    except msgspec.MsgspecError:
        return NO_KIND


def foreign(summary: Json) -> Running | None:
    """None where it has no address, or its labels make no sense. Its id is the container's."""
    labels = summary["Labels"]
    networks = summary["NetworkSettings"]["Networks"].values()
    address = next((each["IPAddress"] for each in networks if each["IPAddress"]), None)
    port, number = labels.get(PORT, DEFAULT_PORT), labels.get(VERSION, "0")
    if address is None or not (port.isdecimal() and 0 < int(port) < 65_536 and number.isdecimal()):
        return None
    return Running(
        instance=summary["Id"][:16],
        version_id="",
        function=labels[FUNCTION],
        number=int(number),
        address=f"tcp:{address}:{int(port)}",
        started_at=datetime.fromtimestamp(summary["Created"], UTC),
        managed=False,
    )
