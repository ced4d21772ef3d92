"""`plat logs`: what a function's instances wrote, and what they write now."""

import click
import msgspec

from cli.session import json_option, name_argument, talk
from plat.client import PlatClient
from plat.model import LogLine


@click.command()
@name_argument
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@click.option(
    "--tail", type=click.IntRange(min=0), default=100, show_default=True, help="Lines to begin with."
)
@json_option
def logs(name: str, follow: bool, tail: int, as_json: bool) -> None:
    """Show a function's log lines (--json: one document a line)."""

    async def show(plat: PlatClient) -> None:
        async for line in plat.logs(name, tail, follow=follow):
            click.echo(msgspec.json.encode(line) if as_json else formatted(line))

    talk(show, name)


def formatted(line: LogLine) -> str:
    """Time (UTC), version and instance, then what was written; stderr is marked."""
    time = line.time.strftime("%H:%M:%S.") + f"{line.time.microsecond // 1000:03d}"
    mark = "!" if line.stream == "stderr" else " "
    return f"{time} v{line.version} {line.instance[:8]} {mark} {line.message}"
