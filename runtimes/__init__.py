"""What runs inside an instance, per language: where its files are and how it is started.

Found by others through the entry points of the group `plat.runtimes`. Standard library only.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Runtime:
    """One runtime."""

    name: str
    folder: Path
    """What an image carries as /opt/plat."""
    argv: tuple[str, ...]
    """How a process on this machine is started; the rest comes by the environment."""
    template: Path
    """The folder that `plat init` copies."""
    dockerfile: Path
    fork_argv: tuple[str, ...] = ()
    """How a process is started that makes instances by fork, where there is such a thing."""


def _runtime(name: str, *command: str, fork_argv: tuple[str, ...] = ()) -> Runtime:
    folder = _HERE / name
    return Runtime(name, folder, command, folder / "template", folder / "Dockerfile", fork_argv)


# -S: a function must not see the packages that the platform itself is installed with.
_PYTHON = (sys.executable, "-S", str(_HERE / "python"))
PYTHON = _runtime("python", *_PYTHON, fork_argv=(*_PYTHON, "fork-server"))
NODE = _runtime("node", "node", str(_HERE / "node" / "server.js"))
