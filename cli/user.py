"""`plat user`: the users that tokens belong to."""

import sys

import click

from cli.failure import FailedError, UsageFaultError
from cli.render import print_json, print_table
from cli.session import json_option, talk
from plat.client import PlatClient


@click.group()
def user() -> None:
    """Create, list and delete users."""


@user.command()
@click.argument("name")
@json_option
def create(name: str, as_json: bool) -> None:
    """Create a user: a name that tokens belong to."""
    made = talk(lambda plat: plat.create_user(name))
    if as_json:
        print_json(made)
    else:
        click.echo(f"{name} is there. Make a token: plat token create NAME --user {name} --scope ...")


@user.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the users."""
    users = talk(PlatClient.users)
    if as_json:
        print_json(users)
    else:
        print_table(("NAME", "CREATED"), [(each.name, each.created_at) for each in users])


@user.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(name: str, yes: bool, as_json: bool) -> None:
    """Delete a user, and revoke all that user's tokens."""
    if not yes:
        _ask(name)
    talk(lambda plat: plat.delete_user(name))
    if as_json:
        print_json({"user": name, "deleted": True})
    else:
        click.echo(f"{name} is deleted.")


def _ask(name: str) -> None:
    if not sys.stdin.isatty():
        raise UsageFaultError(f"Deleting {name} revokes all of {name}'s tokens: say so with --yes.")
    if not click.confirm(f"Delete {name} and revoke all of {name}'s tokens?", err=True):
        raise FailedError(f"{name} was not deleted.")
