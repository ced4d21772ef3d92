"""How a command ends when it cannot do what it was asked: one line, and what a program said below it."""

import sys
from enum import IntEnum

import click

from plat.errors import PlatError


class ExitCode(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


class FailedError(Exception):
    """Something on this machine did not work. `said` is what another program wrote about it."""

    def __init__(self, detail: str, said: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.said = said


class UsageFaultError(FailedError):
    """The command was given something that it cannot take."""


HINTS = {
    "unauthorized": "Set PLAT_TOKEN, or start the platform once with `plat up` as this user.",
    "function_not_deployed": "Deploy it with `plat deploy`.",
}


def exit_code_of(error: Exception) -> ExitCode:
    """Usage is what can be seen without the platform: a bad name, a bad plat.toml."""
    if isinstance(error, UsageFaultError):
        return ExitCode.USAGE
    if type(error) is PlatError and error.code == "invalid":
        return ExitCode.USAGE
    return ExitCode.FAILED


def message_of(error: PlatError | FailedError) -> str:
    """One line: what is wrong and what to do."""
    code = error.code if isinstance(error, PlatError) else ""
    detail = " ".join(error.detail.split())
    hint = HINTS.get(code, "")
    return f"{detail} {hint}" if hint else detail


def document_of(error: PlatError | FailedError) -> dict[str, object]:
    """The same as JSON: the problem, or `code: failed` for what went wrong on this machine."""
    if isinstance(error, PlatError):
        document: dict[str, object] = {"code": error.code, "status": error.status, "detail": error.detail}
        more = {"reason": error.reason, "traceback": error.traceback}
    else:
        document = {"code": "failed", "detail": error.detail}
        more = {"traceback": error.said}
    return document | {key: value for key, value in more.items() if value is not None}


def show(error: PlatError | FailedError, as_json: bool) -> None:
    """To stderr."""
    if as_json:
        import orjson  # noqa: PLC0415 - only --json needs it

        click.echo(orjson.dumps(document_of(error)), err=True)
        return
    click.echo(f"Error: {message_of(error)}", err=True)
    said = error.traceback if isinstance(error, PlatError) else error.said
    if said:
        click.echo(said.rstrip("\n"), err=True)
    sys.stderr.flush()
