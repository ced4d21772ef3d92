"""The runtimes that are installed, found as entry points of the group `plat.runtimes`."""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Protocol, cast

from plat.errors import PlatError
from plat.nearest import did_you_mean


class Runtime(Protocol):
    """The part of a runtime that the process driver needs."""

    @property
    def argv(self) -> tuple[str, ...]:
        """The command that serves `PLAT_SOCKET`."""
        ...


def fork_argv(runtime: Runtime) -> tuple[str, ...]:
    """The command of a process that forks instances (`runtimes/python/plat_runtime/fork_server.py` says
    how); empty: the runtime has none, as most."""
    found: tuple[str, ...] = getattr(runtime, "fork_argv", ())
    return found


def installed() -> dict[str, Runtime]:
    return {entry.name: cast(Runtime, entry.load()) for entry in entry_points(group="plat.runtimes")}


def named(runtimes: Mapping[str, Runtime], name: str) -> Runtime:
    """Raises PlatError `instance_start_failed` where a plugin that a version needs is gone."""
    if name not in runtimes:
        known = ", ".join(sorted(runtimes))
        detail = (
            f'The runtime "{name}" is not installed; there are: {known}.{did_you_mean(name, list(runtimes))}'
        )
        raise PlatError("instance_start_failed", detail)
    return runtimes[name]
