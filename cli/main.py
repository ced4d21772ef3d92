"""The `plat` command: finds the subcommand, and turns every error into one line and an exit code.

Subcommands are loaded when they are used, so that `plat list` does not pay for `plat up`.
"""

import os
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any, NoReturn

import click

from cli.failure import ExitCode, FailedError, exit_code_of, show
from plat.errors import PlatError
from plat.nearest import did_you_mean

COMMANDS = {
    "up": "cli.up:up",
    "init": "cli.init:init",
    "deploy": "cli.deploy:deploy",
    "invoke": "cli.invoke:invoke",
    "list": "cli.functions:list_",
    "show": "cli.functions:show",
    "logs": "cli.logs:logs",
    "explain": "cli.explain:explain",
    "scale": "cli.functions:scale",
    "stop": "cli.functions:stop",
    "start": "cli.functions:start",
    "rollback": "cli.functions:rollback",
    "delete": "cli.functions:delete",
    "simulate": "cli.simulate:simulate",
    "token": "cli.token:token",
    "user": "cli.user:user",
    "secret": "cli.secret:secret",
    "audit": "cli.audit:audit",
    "completion": "cli.completion:completion",
    "router": "cli.services:router",
    "core": "cli.services:core",
    "control": "cli.services:control",
    "pool": "cli.services:pool",
    "builder": "cli.services:builder",
}
"""Name -> `module:command`, in the order of the help. The services at the end are hidden there."""


class LazyGroup(click.Group):
    """A group whose commands are imported by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(f'No command "{args[0]}".{did_you_mean(args[0], COMMANDS)}', ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("plat"), prog_name="plat", message="%(prog)s %(version)s")
def cli() -> None:
    """Plat: your functions, on your machine, at /function/NAME."""


def main() -> NoReturn:
    """The entry point: exit codes are 0 done, 1 failed, 2 usage, 130 interrupted."""
    code = run(sys.argv[1:])
    _flush()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    try:
        result: Any = cli.main(arguments, prog_name="plat", standalone_mode=False)
    except (click.ClickException, click.Abort, PlatError, FailedError, OSError) as error:
        return _end(error, as_json="--json" in arguments)
    return result if isinstance(result, int) else ExitCode.DONE


def _end(error: Exception, as_json: bool) -> ExitCode:
    match error:
        case click.Abort():
            return ExitCode.INTERRUPTED
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message(), err=True)
            return ExitCode.USAGE
        case click.UsageError():
            _show_usage(error, as_json)
            return ExitCode.USAGE
        case PlatError() | FailedError():
            show(error, as_json)
            return exit_code_of(error)
        case _:
            show(FailedError(str(error)), as_json)
            return ExitCode.FAILED


def _show_usage(error: click.UsageError, as_json: bool) -> None:
    path = error.ctx.command_path if error.ctx else "plat"
    text = " ".join(error.format_message().split())
    show(FailedError(f"{text} See `{path} --help`."), as_json)


def _flush() -> None:
    """A reader that has gone away (`plat list | head -1`) is no error worth a word."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left cannot be written at exit either: let it go to nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
