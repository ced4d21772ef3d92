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


def _runtime(name: str, *command: str) -> Runtime:
    folder = _HERE / name
    return Runtime(name, folder, command, folder / "template", folder / "Dockerfile")


# -S: a function must not see the packages that the platform itself is installed with.
PYTHON = _runtime("python", sys.executable, "-S", str(_HERE / "python"))
NODE = _runtime("node", "node", str(_HERE / "node" / "server.js"))
