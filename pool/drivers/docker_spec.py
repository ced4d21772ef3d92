"""What a container of ours looks like to the engine, and what its labels say. No I/O.

The labels are the pool's memory: whatever `list` must know after a restart is in them.
"""

import hashlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from plat.settings import Settings
from pool.drivers.base import Running, StartOrder
from pool.drivers.environment import environment

OWNER = "plat.owner"
INSTANCE = "plat.instance"
FUNCTION = "plat.function"
VERSION = "plat.version"
VERSION_ID = "plat.version_id"
PORT = "plat.port"

CODE = "/code"
RUN = "/run/plat"
SOCKET = "http.sock"
DEFAULT_PORT = "8080"
FUNCTION_USER = 1000
PIDS_LIMIT = 256
OUR_NETWORK = "plat"
STOPPED = frozenset({"created", "exited", "dead"})
RUNS = frozenset({"running", "paused", "restarting"})

Json = dict[str, Any]


class Place(NamedTuple):
    """What all containers of one platform on one machine share."""

    owner: str
    network: str
    processors: int
    user: int

    @classmethod
    def of(cls, settings: Settings, processors: int) -> "Place":
        """Not as root, the containers' user is the platform's own, so that it can reach their sockets."""
        return cls(owner_of(settings), settings.docker_network, processors, os.getuid() or FUNCTION_USER)


def owner_of(settings: Settings) -> str:
    """Two platforms on one engine have two data folders."""
    return hashlib.sha256(os.fsencode(settings.data_dir)).hexdigest()[:16]


def image_of(settings: Settings, runtime: str) -> str | None:
    return {"python": settings.docker_python_image, "node": settings.docker_node_image}.get(runtime)


def container_name(order: StartOrder) -> str:
    return f"plat-{order.version.function}-{order.instance}"


def container(order: StartOrder, image: str, place: Place, run: Path) -> Json:
    """The body of `POST /containers/create`. `run` becomes the folder with the socket."""
    system = {"HOME": "/tmp", "TMPDIR": "/tmp"}  # noqa: S108 - a tmpfs of its own
    variables = environment(order, system, socket=f"{RUN}/{SOCKET}", code=CODE)
    return {
        "Image": image,
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "User": f"{place.user}:{place.user}",
        "WorkingDir": CODE,
        "StopSignal": "SIGTERM",
        "Labels": {
            OWNER: place.owner,
            INSTANCE: order.instance,
            FUNCTION: order.version.function,
            VERSION: str(order.version.number),
            VERSION_ID: order.version.id,
        },
        "HostConfig": {
            **_limits(order, place),
            **_isolation(place),
            "Mounts": [_bind(order.code, CODE, read_only=True), _bind(run, RUN, read_only=False)],
            "Init": True,
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}},
        },
    }


def _limits(order: StartOrder, place: Place) -> Json:
    spec = order.version.spec
    memory = spec.memory_mb * 1024 * 1024
    return {
        "Memory": memory,
        "MemorySwap": memory,  # equal: no swap
        # The engine refuses more processors than the machine has.
        "NanoCpus": int(min(spec.cpu, place.processors) * 1e9),
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
    return Running(
        instance=labels[INSTANCE],
        version_id=labels[VERSION_ID],
        function=labels[FUNCTION],
        number=int(labels[VERSION]),
        address=f"unix:{instances / labels[INSTANCE] / SOCKET}",
        started_at=datetime.fromtimestamp(summary["Created"], UTC),
    )


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
