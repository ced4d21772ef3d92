"""How a command talks to the platform: one client, one event loop, one name to suggest from."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click
import msgspec

from plat.client import PlatClient, RefusedError
from plat.errors import PlatError
from plat.nearest import did_you_mean

T = TypeVar("T")

COMPLETION_TIMEOUT_S = 1


def talk(work: Callable[[PlatClient], Awaitable[T]], name: str | None = None) -> T:
    """Run `work` with a client. If no function is called `name`, the error suggests one that is."""
    return asyncio.run(_talk(work, name))


async def _talk(work: Callable[[PlatClient], Awaitable[T]], name: str | None) -> T:
    async with PlatClient() as plat:
        try:
            return await work(plat)
        except RefusedError as error:
            if name is None or error.code != "function_not_found":
                raise
            raise await _with_suggestion(plat, error, name) from error


async def _with_suggestion(plat: PlatClient, error: RefusedError, name: str) -> RefusedError:
    try:
        known = [function.name for function in await plat.list()]
    except PlatError:
        return error  # the first error says what matters
    detail = error.detail + did_you_mean(name, known)
    return RefusedError(msgspec.structs.replace(error.answer, detail=detail))


def _complete_name(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Function names for the shell's TAB; nothing when the platform does not answer at once."""

    async def names(plat: PlatClient) -> list[str]:
        async with asyncio.timeout(COMPLETION_TIMEOUT_S):
            return [function.name for function in await plat.list()]

    try:
        return [name for name in talk(names) if name.startswith(incomplete)]
    except (PlatError, TimeoutError):
        return []


def name_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("name", shell_complete=_complete_name)(command)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
