"""`plat up`: the whole platform on this machine, in the foreground, until Ctrl-C."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import click
import msgspec
from aiohttp import web

from cli.admin import Services, admin_app, start_admin
from cli.claims import lock_data, make_run_folder, remove_run_folder, reserve_port
from cli.config import save, saved_token
from cli.deploy import deploy_folder
from cli.failure import FailedError, show
from cli.render import print_json
from cli.services import load_settings
from cli.session import json_option
from cli.supervisor import Command, Service
from cli.sweep import sweep
from plat.client import PlatClient
from plat.credentials import SavedAccess
from plat.errors import PlatError
from plat.logs import configure, get_logger
from plat.scopes import PREFIX
from plat.settings import ENV_PREFIX, Settings
from plat.tasks import cancel, spawn

log = get_logger(__name__)

READY_POLL_S = 0.05
STOP_MARGIN_S = 10
"""Seconds more than `drain_s` that a service has to stop."""


class Up(msgspec.Struct, frozen=True):
    """What --json prints once everything answers."""

    url: str
    admin_url: str
    pid: int


@click.command()
@click.option("--host", help="Address to listen on. Default: 127.0.0.1")
@click.option("--port", type=int, help="Port for calls and the API. Default: 8080")
@click.option("--admin-port", type=int, help="Port for metrics and health, on loopback. Default: 8081")
@click.option("--data", help="Folder for functions and state. Default: ~/.local/share/plat")
@click.option("--driver", help="auto, process or docker. Default: auto")
@click.option("--routers", type=int, help="Router processes. Default: 1")
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file with settings.")
@click.option("--deploy", "folder", type=click.Path(path_type=Path), hidden=True)
@json_option
def up(config: Path | None, folder: Path | None, as_json: bool, **flags: Any) -> int:
    """Start the platform and keep it running."""
    settings = load_settings(flags, config)
    configure("up", settings.log_level)
    with ExitStack() as claims:
        reserved = claims.enter_context(reserve_port(settings.host, settings.port))
        lock = claims.enter_context(lock_data(settings.data_dir))
        settings = settled(settings, reserved.getsockname()[1])
        make_run_folder(settings.run_dir)
        platform = Platform(settings, lock.fileno(), folder, as_json=as_json)
        return asyncio.run(platform.run())


def settled(settings: Settings, port: int) -> Settings:
    """With what is decided at start: the port's number, the data folder, the admin token."""
    token = settings.token or saved_token() or PREFIX + secrets.token_urlsafe(32)
    return msgspec.structs.replace(settings, port=port, data=str(settings.data_dir), token=token)


def service_environ(settings: Settings, environ: Mapping[str, str], *, with_token: bool) -> dict[str, str]:
    """The environment of a service: our settings in place of the `PLAT_*` variables we were given."""
    fields = {ENV_PREFIX + name.upper(): name for name in Settings.__struct_fields__}
    values = {variable: getattr(settings, name) for variable, name in fields.items()}
    if not with_token:
        values["PLAT_TOKEN"] = values["PLAT_SECRET_KEY"] = None
    else:
        values["PLAT_JWT_SECRET"] = None  # the routers' alone
    given = {name: value for name, value in environ.items() if name not in fields}
    return given | {variable: str(value) for variable, value in values.items() if value is not None}


def commands(settings: Settings, lifeline: int, lock: int) -> list[Command]:
    """The core, then the routers. Only the core gets token and keys: routers face the network."""

    def command(name: str, *arguments: str, with_token: bool) -> Command:
        return Command(
            name=name,
            argv=(sys.executable, "-m", "cli.main", *arguments, "--lifeline", str(lifeline)),
            environ=service_environ(settings, os.environ, with_token=with_token),
            descriptors=(lifeline, lock),
        )

    routers = [
        command(f"router-{index}", "router", "--index", str(index), with_token=False)
        for index in range(settings.routers)
    ]
    return [command("core", "core", with_token=True), *routers]


class Platform:
    """The services, from their start to the last one's end."""

    def __init__(self, settings: Settings, lock: int, folder: Path | None, *, as_json: bool) -> None:
        self._settings = settings
        self._lock = lock
        self._folder = folder
        self._as_json = as_json
        self._stop = asyncio.Event()
        self._probe = Services(settings)
        self._services: list[Service] = []

    async def run(self) -> int:
        """Exit code 0 after Ctrl-C or SIGTERM. Raises FailedError if the platform cannot start."""
        async with AsyncExitStack() as stack:
            self._listen_to_signals()
            stack.callback(remove_run_folder, self._settings.run_dir)
            # Held by us alone: it closes when we die, however we die, and the services see it.
            lifeline, ours = os.pipe()
            stack.callback(os.close, ours)
            stack.callback(os.close, lifeline)
            self._services = [Service(each) for each in commands(self._settings, lifeline, self._lock)]
            admin = await start_admin(admin_app(self._probe, self._restarts), self._settings.admin_port)
            stack.push_async_callback(admin.cleanup)
            stack.push_async_callback(self._stop_services)
            await self._serve(admin)
        return 0

    async def _serve(self, admin: web.AppRunner) -> None:
        runs = [spawn(service.run(), service.name) for service in self._services]
        stop = spawn(self._stop.wait(), "stop")
        welcome = spawn(self._welcome(admin), "welcome")
        try:
            await asyncio.wait([*runs, stop], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(stop, welcome)
        for run in runs:
            if run.done() and (reason := run.result()) is not None:
                raise FailedError(reason)

    async def _welcome(self, admin: web.AppRunner) -> None:
        """Say where the platform is, once it answers."""
        while await self._probe.not_ready():  # noqa: ASYNC110 - it is another process that gets ready
            await asyncio.sleep(READY_POLL_S)
        for service in self._services:
            service.confirm_ready()
        port = admin.addresses[0][1]
        url = self._settings.base_url
        save(SavedAccess(url=url, token=self._settings.token))
        if self._as_json:
            print_json(Up(url=url, admin_url=f"http://127.0.0.1:{port}", pid=os.getpid()))
        else:
            click.echo(f"Plat answers at {url}")
        if self._folder is not None:
            await self._deploy(self._folder)

    async def _deploy(self, folder: Path) -> None:
        """Deploy a first function; if that fails, the platform stays up."""
        try:
            async with PlatClient(self._settings.base_url) as plat:
                deployed = await deploy_folder(plat, folder, lambda _: None)
        except (PlatError, FailedError) as error:
            show(error, self._as_json)
            return
        if self._as_json:
            print_json(deployed)
        else:
            click.echo(deployed.curl)

    async def _stop_services(self) -> None:
        """Routers first: they finish their calls while instances are still there."""
        core, *routers = self._services
        grace_s = self._settings.drain_s + STOP_MARGIN_S
        await asyncio.gather(*(router.stop(grace_s) for router in routers))
        await core.stop(grace_s)
        if not core.ended_well:
            await sweep(self._settings)

    def _restarts(self) -> dict[str, int]:
        return {service.name: service.restarts for service in self._services}

    def _listen_to_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        """The first asks, the second does not."""
        if self._stop.is_set():
            for service in self._services:
                service.kill()
        self._stop.set()
