"""`plat completion`: the script that gives a shell our commands at TAB."""

import click
from click.shell_completion import get_completion_class

VARIABLE = "_PLAT_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script, as for: eval "$(plat completion bash)"."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "plat", VARIABLE).source())
