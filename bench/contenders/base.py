"""What a contender is, and one that runs."""

import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from bench.accounting import family
from bench.processes import Program, answers, until
from bench.request import Upstreams, path_of, size_of


class Running(NamedTuple):
    """A contender that answers."""

    name: str
    port: int
    roots: tuple[int, ...]
    """The processes that were started; those that descend from them count too."""

    def url(self, function: str) -> str:
        return f"http://127.0.0.1:{self.port}{path_of(function)}"

    def pids(self) -> list[int]:
        return [pid for root in self.roots for pid in family(root)]


Start = Callable[[Path, Upstreams], AbstractContextManager[Running]]


class Contender(NamedTuple):
    """A proxy that can be started, if nothing is missing."""

    name: str
    programs: tuple[str, ...]
    """Commands that it needs."""
    start: Start

    def missing(self) -> str | None:
        """Why it cannot take part; None if it can."""
        lacking = [each for each in self.programs if shutil.which(each) is None]
        return f"not installed: {', '.join(lacking)}" if lacking else None


def ready(running: Running, functions: Iterable[str], process: Program, log: Path) -> Running:
    """Once each function is answered. Raises RuntimeError if that does not come about."""
    for function in functions:
        _ready(running.url(function), size_of(function), process, log)
    return running


def _ready(url: str, request_bytes: int, process: Program, log: Path) -> None:
    until(lambda: answers(url, request_bytes), process, log, url)
