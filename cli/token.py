"""`plat token`: make, list and revoke tokens."""

import re
from datetime import UTC, datetime, timedelta

import click

from cli.failure import UsageFaultError
from cli.render import Row, print_json, print_table
from cli.session import json_option, talk
from plat.administration import CreatedToken, Token, TokenRequest
from plat.client import PlatClient
from plat.decoding import convert

_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.group()
def token() -> None:
    """Make, list and revoke tokens."""


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    help="admin, read, deploy:PATTERN or invoke:PATTERN. May be given several times.",
)
@click.option("--expires", help="When it ends: 30d, 12h, 45m. Default: never.")
@click.option("--user", "owner", help="Whose it is: deleting the user revokes it.")
@json_option
def create(name: str, scopes: tuple[str, ...], expires: str | None, owner: str | None, as_json: bool) -> None:
    """Make a token. It goes to stdout, and is not shown again."""
    wanted = request_of(name, scopes, expires, owner, datetime.now(UTC))
    made = talk(lambda plat: plat.create_token(wanted))
    if as_json:
        print_json(made)
    else:
        click.echo(_sentence(made), err=True)
        click.echo(made.token)


def request_of(
    name: str, scopes: tuple[str, ...], expires: str | None, owner: str | None, now: datetime
) -> TokenRequest:
    """Raises UsageFaultError for a duration, PlatError `invalid` for a name or scope that is none."""
    body: dict[str, object] = {"name": name, "scopes": list(scopes)}
    if owner is not None:
        body["owner"] = owner
    if expires is not None:
        body["expires_at"] = now + duration(expires)
    return convert(body, TokenRequest)


def duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise UsageFaultError(f'--expires {text}: expected a number with s, m, h, d or w, as in "30d".')
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _sentence(made: CreatedToken) -> str:
    end = "never" if made.expires_at is None else f"on {made.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"Token {made.id} ({made.name}) ends {end}. Keep it: it is not shown again."


@token.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the tokens: all for an admin, else the own one and those made with it."""
    tokens = talk(PlatClient.tokens)
    if as_json:
        print_json(tokens)
    else:
        columns = ("ID", "NAME", "USER", "SCOPES", "CREATED", "EXPIRES", "LAST USED")
        print_table(columns, [_row(each) for each in tokens])


def _row(each: Token) -> Row:
    return (
        each.id,
        each.name,
        each.owner,
        " ".join(each.scopes),
        each.created_at,
        each.expires_at,
        each.last_used_at,
    )


@token.command()
@click.argument("identity", metavar="ID")
@json_option
def revoke(identity: str, as_json: bool) -> None:
    """Revoke the token ID, and those that were made with it."""
    talk(lambda plat: plat.revoke_token(identity))
    if as_json:
        print_json({"token": identity, "revoked": True})
    else:
        click.echo(f"{identity} is revoked.")
