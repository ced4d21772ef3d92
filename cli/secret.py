"""`plat secret`: keep, list and delete secrets, and replace the key that they are encrypted with."""

import sys

import click

from cli.failure import UsageFaultError
from cli.render import print_json, print_table
from cli.session import json_option, talk
from plat.client import PlatClient


@click.group()
def secret() -> None:
    """Keep secrets for functions that name them."""


@secret.command("set")
@click.argument("name")
@click.option("--value", help="The secret. Other users of this machine may see it: better send it to stdin.")
@json_option
def set_(name: str, value: str | None, as_json: bool) -> None:
    """Keep a secret as NAME, or change it. Read from stdin unless --value is given."""
    text = given_value(name) if value is None else value
    kept = talk(lambda plat: plat.set_secret(name, text))
    if as_json:
        print_json(kept)
    else:
        click.echo(f"{kept.name} is kept.")


def given_value(name: str) -> str:
    """Asked for on a terminal; else all of stdin but for one line break at its end."""
    if sys.stdin.isatty():
        return str(click.prompt(name, hide_input=True, err=True))
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise UsageFaultError(
            f"What stdin has for {name} is not UTF-8 text: encode it first, in base64 say."
        ) from error


@secret.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the secrets' names."""
    secrets = talk(PlatClient.secrets)
    if as_json:
        print_json(secrets)
    else:
        columns = ("NAME", "CREATED", "CHANGED", "KEY")
        print_table(columns, [(each.name, each.created_at, each.updated_at, each.key) for each in secrets])


@secret.command()
@click.argument("name")
@json_option
def delete(name: str, as_json: bool) -> None:
    """Delete a secret that no function uses."""
    talk(lambda plat: plat.delete_secret(name))
    if as_json:
        print_json({"secret": name, "deleted": True})
    else:
        click.echo(f"{name} is deleted.")


@secret.command()
@json_option
def rotate(as_json: bool) -> None:
    """Encrypt all secrets anew, with a new key or the first of those in the setting."""
    rotation = talk(PlatClient.rotate_secrets)
    if as_json:
        print_json(rotation)
    else:
        click.echo(f"{rotation.secrets} encrypted with the key {rotation.key}.")
