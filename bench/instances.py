"""The real runtimes with a function that does nothing, started as the process driver starts them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.processes import accepts, running, until
from runtimes import NODE, PYTHON, Runtime

RUNTIMES = {"Python": PYTHON, "Node": NODE}
CODE = {
    "Python": ("main.py", "def handler(event, context):\n    return None\n"),
    "Node": ("main.js", "exports.handler = () => null;\n"),
}


class Instance(NamedTuple):
    runtime: str
    socket: Path
    pid: int


def missing(name: str) -> str | None:
    """Why the runtime cannot be started; None if it can."""
    program = RUNTIMES[name].argv[0]
    return None if shutil.which(program) else f"not installed: {program}"


@contextmanager
def instance(folder: Path, name: str, *, concurrency: int = 1) -> Iterator[Instance]:
    folder.mkdir()
    code, socket, log = folder / "code", folder / "http.sock", folder / "instance.log"
    code.mkdir()
    file, text = CODE[name]
    (code / file).write_text(text)
    runtime: Runtime = RUNTIMES[name]
    with running(runtime.argv, log, environ(socket, code, concurrency)) as process:
        until(lambda: accepts(socket), process, log, f"the {name} runtime")
        yield Instance(name, socket, process.pid)


def environ(socket: Path, code: Path, concurrency: int) -> dict[str, str]:
    """What the contract with a runtime asks for."""
    return {
        "PLAT_SOCKET": str(socket),
        "PLAT_CODE": str(code),
        "PLAT_HANDLER": "main.handler",
        "PLAT_EVENT": "body",
        "PLAT_FUNCTION": "noop",
        "PLAT_VERSION": "1",
        "PLAT_CONCURRENCY": str(concurrency),
        "PLAT_TIMEOUT_S": "60",
        "PLAT_MEMORY_MB": "128",
        "PLAT_INSTANCE": "bench",
    }
