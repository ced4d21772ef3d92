"""Plat's router: the real `plat router` processes, with slots from the fixed pool of bench.feed_stub."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from bench.contenders.base import Contender, Running, ready
from bench.feed_stub import FixedFunction, Fixture
from bench.processes import ROOT, Program, accepts, free_port, python, running, until
from bench.request import Upstreams
from router.compiled import is_compiled

SLOTS = 256
NAME = "plat router"
COMPILED_NAME = "plat router, compiled"
COMPILER = ROOT / "deploy" / "compile-router"
POOL_LOG = "pool.log"


class Table(NamedTuple):
    """What routers are told of beside the functions that are called: see `bench.feed_stub.Fixture`."""

    unused: int = 0
    again_s: float | None = None


ONLY_WHAT_IS_CALLED = Table()
COMMAND = (str(Path(sys.executable).parent / "plat"), "router")
"""Starts one router; its index follows as `--index N`."""


@contextmanager
def start(folder: Path, upstreams: Upstreams) -> Iterator[Running]:
    """Raises RuntimeError if the checkout's modules are compiled: the two are compared."""
    if is_compiled():
        raise RuntimeError("this checkout's router is compiled: make pure")
    with _in_front_of(upstreams, folder, COMMAND) as running:
        yield running


@contextmanager
def start_compiled(folder: Path, upstreams: Upstreams) -> Iterator[Running]:
    """A copy of the router, compiled. Raises RuntimeError if that fails."""
    with _in_front_of(upstreams, folder, compiled_command(folder)) as running:
        yield running._replace(name=COMPILED_NAME)


@contextmanager
def _in_front_of(upstreams: Upstreams, folder: Path, command: Sequence[str]) -> Iterator[Running]:
    functions = [FixedFunction(name, str(address), SLOTS) for name, address in upstreams.items()]
    with routers(folder, functions, command=command) as (plat, process, log):
        yield ready(plat, upstreams, process, log)


def compiled_command(folder: Path) -> tuple[str, ...]:
    """Starts a router whose modules are compiled into `folder`. Raises RuntimeError."""
    for package in ("plat", "router"):
        target = folder / package
        shutil.copytree(ROOT / package, target, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    done = subprocess.run([sys.executable, COMPILER, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return command_in(folder)


def command_in(folder: Path) -> tuple[str, ...]:
    """Starts the router that is in `folder`."""
    return ("env", f"PYTHONPATH={folder}", *COMMAND)


@contextmanager
def routers(
    folder: Path,
    functions: Sequence[FixedFunction],
    *,
    count: int = 1,
    settings: Mapping[str, str] = MappingProxyType({}),
    command: Sequence[str] = COMMAND,
    table: Table = ONLY_WHAT_IS_CALLED,
    token: str = "",
) -> Iterator[tuple[Running, Program, Path]]:
    """`count` routers on one port, and the last one's process and log. Settings: in capitals, no `PLAT_`.

    `token` may call those functions that are not public.
    """
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        pool = stack.enter_context(fixed_pool(folder, functions, table, token))
        port = free_port()
        variables = {"DATA": str(folder), "PORT": str(port), "POOL_ADDRESS": f"unix:{pool}", **settings}
        started: list[tuple[Program, Path]] = []
        for index in range(count):
            log = folder / f"router-{index}.log"
            numbered = [*command, "--index", str(index)]
            process = stack.enter_context(_router(numbered, count, log, variables))
            until(partial(_says_ready, log), process, log, "the router")
            started.append((process, log))
        name = NAME if count == 1 else f"{NAME} x {count}"
        yield Running(name, port, tuple(process.pid for process, _ in started)), *started[-1]


def _says_ready(log: Path) -> bool:
    return "router ready" in log.read_text()


def _router(
    command: Sequence[str], count: int, log: Path, variables: dict[str, str]
) -> AbstractContextManager[Program]:
    prefixed = {f"PLAT_{name}": value for name, value in variables.items()}
    return running(command, log, {"PLAT_ROUTERS": str(count), "PLAT_DRAIN_S": "1", **prefixed})


@contextmanager
def fixed_pool(folder: Path, functions: Sequence[FixedFunction], table: Table, token: str) -> Iterator[Path]:
    """The path of its socket."""
    socket, config, log = folder / "pool.sock", folder / "pool.json", folder / POOL_LOG
    config.write_bytes(msgspec.json.encode(Fixture(str(socket), list(functions), *table, token)))
    with running(python("bench.feed_stub", str(config)), log) as process:
        until(lambda: accepts(socket), process, log, "the fixed pool")
        yield socket


ROUTER = Contender(NAME, (), start)
COMPILED = Contender(COMPILED_NAME, ("cc",), start_compiled)
