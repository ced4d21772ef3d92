"""The drivers, by entry points of a distribution of the tests' own, in a pool that dies at a step it is told.

Runs inside the pool's process. The file that `PLAT_TEST_DEATH` names holds the step to die at; it is
removed first, so that the next pool lives. Steps that were passed are noted in a file beside it.
"""

import asyncio
import functools
import inspect
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from plat.feed import Gone, Grant, Loaded, MemoryPressure, Reclaim
from plat.settings import Settings
from pool import launcher
from pool.drivers.base import Driver
from pool.drivers.child import Child
from pool.drivers.docker import DockerDriver
from pool.drivers.docker_engine import Engine
from pool.drivers.docker_folders import Folders
from pool.drivers.folder import Folder
from pool.drivers.fork_process import Forked
from pool.drivers.process import ProcessDriver
from pool.drivers.ready_trees import ReadyTrees
from pool.feed import RouterLinks
from pool.fleet import Fleet
from pool.scaler import Scaler

VARIABLE = "PLAT_TEST_DEATH"
WITHIN_S = 0.003
"""So long after a step's begin, it is in the middle of it."""

Place = tuple[Any, str]
"""Where a function is, and its name there."""

OF_DRIVERS = ("start", "warm", "place", "pause", "resume", "stop", "list")
SAID = (Grant, Loaded, Reclaim, Gone, MemoryPressure)

POOL: list[Place] = [
    (launcher, "load"),
    (launcher, "wait_ready"),
    (Fleet, "serves"),
    (Fleet, "_ready"),
    (Fleet, "drain"),
    (Scaler, "_send_away"),
]

PROCESS: list[Place] = [
    *((ProcessDriver, name) for name in OF_DRIVERS),
    (Folder, "make"),
    (Folder, "write"),
    (Folder, "remove"),
    (Forked, "release"),
    (Child, "pause"),
    (Child, "resume"),
    (Child, "terminate"),
]

DOCKER: list[Place] = [
    *((DockerDriver, name) for name in OF_DRIVERS),
    *((Engine, name) for name in ("create", "start", "rename", "pause", "unpause", "stop", "remove")),
    *((Folders, name) for name in ("make_run", "make_code", "seal", "remove")),
    (ReadyTrees, "give"),
]

DRIVERS: dict[str, list[Place]] = {"process": PROCESS, "docker": DOCKER}


def steps(driver: str) -> list[str]:
    """Every step there is to die at."""
    found = [
        f"{when} {_name(place)}" for place in [*POOL, *DRIVERS[driver]] for when in _moments(getattr(*place))
    ]
    return found + [f"{when} {kind.__name__}" for kind in SAID for when in ("before", "after")]


def process(settings: Settings) -> Driver:
    _make_mortal("process")
    return ProcessDriver(settings)


def docker(settings: Settings) -> Driver:
    _make_mortal("docker")
    return DockerDriver(settings)


def _name(place: Place) -> str:
    owner, name = place
    return f"{owner.__name__.rpartition('.')[2]}.{name}"


def _moments(function: Callable[..., Any]) -> tuple[str, ...]:
    return ("before", "within", "after") if inspect.iscoroutinefunction(function) else ("before", "after")


def _make_mortal(driver: str) -> None:
    for owner, name in [*POOL, *DRIVERS[driver]]:
        setattr(owner, name, _mortal(getattr(owner, name), _name((owner, name))))
    RouterLinks.send = _mortal_send(RouterLinks.send)  # type: ignore[method-assign]


def _mortal(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    async def waiting(*arguments: Any, **options: Any) -> Any:
        _pass(f"before {name}")
        timer = asyncio.get_running_loop().call_later(WITHIN_S, _pass, f"within {name}")
        try:
            result = await function(*arguments, **options)
        finally:
            timer.cancel()
        _pass(f"after {name}")
        return result

    @functools.wraps(function)
    def direct(*arguments: Any, **options: Any) -> Any:
        _pass(f"before {name}")
        result = function(*arguments, **options)
        _pass(f"after {name}")
        return result

    return waiting if inspect.iscoroutinefunction(function) else direct


def _mortal_send(send: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(send)
    def mortal(links: RouterLinks, router: str, message: Any) -> None:
        name = type(message).__name__
        _pass(f"before {name}")
        send(links, router, message)
        _pass(f"after {name}")

    return mortal


def _pass(step: str) -> None:
    """Die here, if it is here."""
    order = Path(os.environ[VARIABLE])
    with suppress(FileNotFoundError):
        if order.read_text() == step:
            order.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
