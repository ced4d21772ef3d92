"""`plat audit`: who changed what, and from where."""

from datetime import datetime

import click

from cli.failure import UsageFaultError
from cli.render import Row, print_json, print_table
from cli.session import json_option, talk
from plat.administration import AuditEntry


@click.command()
@click.option("--function", help="Only of this function.")
@click.option("--actor", help="Only by the token with this id.")
@click.option("--action", help="Only this operation: deploy, set_live, create_token, ...")
@click.option("--since", help="Only from this time on, as 2026-01-31 or 2026-01-31T12:00:00+01:00.")
@click.option("--limit", default=100, type=click.IntRange(1, 1000), help="How many; default 100.")
@json_option
def audit(
    function: str | None, actor: str | None, action: str | None, since: str | None, limit: int, as_json: bool
) -> None:
    """Show who changed what, the newest first."""
    given = {"function": function, "actor": actor, "action": action, "since": since and moment(since)}
    filters = {name: value for name, value in given.items() if value is not None}
    entries = talk(lambda plat: plat.audit(limit=limit, **filters))
    if as_json:
        print_json(entries)
    else:
        columns = ("TIME", "TOKEN", "USER", "FROM", "ACTION", "FUNCTION", "OBJECT", "OUTCOME")
        print_table(columns, [_row(each) for each in entries])


def moment(text: str) -> str:
    """With its zone: this machine's, where none is given."""
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError) as error:
        raise UsageFaultError(f"--since {text}: expected a time as in 2026-01-31T12:00:00.") from error


def _row(each: AuditEntry) -> Row:
    return (
        each.at,
        each.actor,
        each.owner,
        each.address,
        each.action,
        each.function,
        each.object,
        each.outcome,
    )
