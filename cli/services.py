"""The services as commands of their own: `plat router`, `core`, `control`, `pool` and `builder`.

`plat up` starts `router` and `core` (control, pool and builder in one process); the others serve setups
in which each runs by itself. A service's package is imported only by its own command.
"""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import click

from cli.failure import ExitCode, UsageFaultError
from plat.errors import PlatError
from plat.logs import configure, get_logger
from plat.settings import Settings, SettingsError, load
from plat.tasks import spawn
from plat.web import translate

log = get_logger(__name__)

Serve = Callable[[Settings, asyncio.Event], Awaitable[None]]

ORPHAN_MARGIN_S = 15
"""Seconds more than `drain_s` that a service without its `plat up` has to end by itself."""


def service_command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A hidden command with the options that every service has."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        config = click.option("--config", type=click.Path(path_type=Path), help="A file with settings.")
        lifeline = click.option("--lifeline", type=int, hidden=True)
        return click.command(name, hidden=True)(config(lifeline(function)))

    return decorate


@service_command("router")
@click.option("--index", type=click.IntRange(0, 63), default=0, help="Which of the routers this one is.")
def router(index: int, config: Path | None, lifeline: int | None) -> None:
    """Run one router."""

    async def serve(settings: Settings, stop: asyncio.Event) -> None:
        from router.server import serve as serve_router  # noqa: PLC0415

        await serve_router(settings, stop, index=index)

    run_service(f"router-{index}", {f"router-{index}": serve}, config, lifeline)


@service_command("core")
def core(config: Path | None, lifeline: int | None) -> None:
    """Run control, pool and builder in one process."""
    services = {"builder": serve_builder, "control": serve_control, "pool": serve_pool}
    run_service("core", services, config, lifeline)


@service_command("control")
def control(config: Path | None, lifeline: int | None) -> None:
    """Run the control service."""
    run_service("control", {"control": serve_control}, config, lifeline)


@service_command("pool")
def pool(config: Path | None, lifeline: int | None) -> None:
    """Run the pool."""
    run_service("pool", {"pool": serve_pool}, config, lifeline)


@service_command("builder")
def builder(config: Path | None, lifeline: int | None) -> None:
    """Run the builder."""
    run_service("builder", {"builder": serve_builder}, config, lifeline)


async def serve_control(settings: Settings, stop: asyncio.Event) -> None:
    from control.service import serve  # noqa: PLC0415

    await serve(settings, stop)


async def serve_pool(settings: Settings, stop: asyncio.Event) -> None:
    from pool.service import serve  # noqa: PLC0415

    await serve(settings, stop)


async def serve_builder(settings: Settings, stop: asyncio.Event) -> None:
    from builder.service import serve  # noqa: PLC0415

    await serve(settings, stop)


def run_service(name: str, services: Mapping[str, Serve], config: Path | None, lifeline: int | None) -> None:
    """Run until SIGTERM, SIGINT, or the end of the process that holds the lifeline's other end."""
    import uvloop  # noqa: PLC0415

    raise_file_limit()
    settings = load_settings({}, config)
    configure(name, settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        failure = runner.run(_serve_all(settings, services, lifeline))
    if failure is not None:
        log.error(f"{name} ends", detail=failure)  # the last line: `plat up` reports it as the cause
        sys.exit(ExitCode.FAILED)


def load_settings(flags: dict[str, Any], config: Path | None) -> Settings:
    try:
        return load(flags, config_file=config)
    except SettingsError as error:
        raise UsageFaultError(str(error)) from error


async def _serve_all(settings: Settings, services: Mapping[str, Serve], lifeline: int | None) -> str | None:
    """Why some of them failed. When one ends, all are asked to: half a core is of no use."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if lifeline is not None:
        loop.add_reader(lifeline, _orphaned, lifeline, stop, settings.drain_s)
    runs = [spawn(_serve_one(name, serve, settings, stop), name) for name, serve in services.items()]
    failures = [failure for failure in await asyncio.gather(*runs) if failure is not None]
    return " ".join(failures) or None


async def _serve_one(name: str, serve: Serve, settings: Settings, stop: asyncio.Event) -> str | None:
    """Why it failed, in a sentence; None if it ended as it was asked to. What nobody expected is logged."""
    try:
        await serve(settings, stop)
        return None
    except Exception as error:
        known = error if isinstance(error, PlatError) else translate(error)
        if known is not None or isinstance(error, OSError):
            return str(known or error)
        detail = f"{type(error).__name__}: {error}"
        log.error(f"{name} failed", detail=detail, exc_info=error)
        return detail
    finally:
        stop.set()


def _orphaned(lifeline: int, stop: asyncio.Event, drain_s: float) -> None:
    """The pipe's other end is closed: `plat up` was killed. End in order, and in any case soon."""
    if os.read(lifeline, 1):
        return
    asyncio.get_running_loop().remove_reader(lifeline)
    log.warning("plat up is gone: stopping")
    signal.alarm(int(drain_s) + ORPHAN_MARGIN_S)  # the kernel ends us, should the loop be stuck
    stop.set()


def raise_file_limit() -> None:
    """As many open files as the machine allows: each connection and each instance takes some."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
