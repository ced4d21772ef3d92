"""`plat core` or `plat router` that notes when it comes by the steps of a cold start, and does not know it.

usage: python -m bench.marked core|router FILE
The marks go into FILE at the end: JSON, a list of [step, monotonic seconds].
"""

import sys
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import msgspec

from cli.services import run_service, serve_builder, serve_control, serve_pool
from pool.dispatch import Dispatcher
from pool.drivers.docker import DockerDriver
from pool.drivers.process import ProcessDriver
from pool.feed import RouterLinks
from pool.fleet import Fleet
from pool.launcher import Launcher
from pool.scaler import Scaler
from router.feed import PoolLink
from router.slots import SlotTable

P = ParamSpec("P")
T = TypeVar("T")

Mark = tuple[str, float]


class Marks:
    """In the order of their times."""

    def __init__(self) -> None:
        self.all: list[Mark] = []

    def note(self, step: str) -> None:
        self.all.append((step, time.monotonic()))

    def around(self, owner: type, method: str, step: str) -> None:
        """Note the beginning of each call, and its end with ` done`."""
        inner: Callable[..., Any] = getattr(owner, method)

        @wraps(inner)
        def marked(*arguments: Any, **options: Any) -> Any:
            self.note(step)
            try:
                return inner(*arguments, **options)
            finally:
                self.note(f"{step} done")

        setattr(owner, method, marked)

    def around_wait(self, owner: type, method: str, step: str) -> None:
        """The same for a coroutine."""
        inner: Callable[..., Awaitable[Any]] = getattr(owner, method)

        @wraps(inner)
        async def marked(*arguments: Any, **options: Any) -> Any:
            self.note(step)
            try:
                return await inner(*arguments, **options)
            finally:
                self.note(f"{step} done")

        setattr(owner, method, marked)


def watch_pool(marks: Marks) -> None:
    marks.around(Dispatcher, "received", "demand heard")
    marks.around(Scaler, "scale", "decide")
    marks.around_wait(Fleet, "_start", "start")
    marks.around_wait(Launcher, "load", "load of a warm one")
    for driver in (ProcessDriver, DockerDriver):
        marks.around_wait(driver, "place", "place")
        marks.around_wait(driver, "resume", "resume")
    marks.around(RouterLinks, "send", "send")


def watch_router(marks: Marks) -> None:
    marks.around(SlotTable, "wait", "call waits")
    marks.around(PoolLink, "_flush_demand", "demand")
    marks.around(SlotTable, "loaded", "loaded")


def main() -> None:
    service, file = sys.argv[1], Path(sys.argv[2])
    marks = Marks()
    if service == "core":
        watch_pool(marks)
        services = {"builder": serve_builder, "control": serve_control, "pool": serve_pool}
        run_service("core", services, None, None)
    else:
        from router.server import serve  # noqa: PLC0415 - as the service's own command does

        watch_router(marks)
        run_service(
            "router-0", {"router-0": lambda settings, stop: serve(settings, stop, index=0)}, None, None
        )
    file.write_bytes(msgspec.json.encode(marks.all))


if __name__ == "__main__":
    main()
