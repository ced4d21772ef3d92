"""`plat explain`: what the pool did with a function's instances lately, and why."""

from collections.abc import Sequence

import click

from cli.render import Row, print_json, print_table
from cli.session import json_option, name_argument, talk
from plat.model import DecisionInputs, DecisionView

SHOWN_INSTANCES = 3
SHOWN_ID = 8


@click.command()
@name_argument
@json_option
def explain(name: str, as_json: bool) -> None:
    """Show what was decided about a function's instances lately, and why; the newest last."""
    decisions = talk(lambda plat: plat.decisions(name), name)
    if as_json:
        print_json(decisions)
    elif decisions:
        columns = ("TIME", "VERSION", "SEEN", "DONE", "WHY")
        print_table(columns, [_row(each) for each in decisions])
    else:
        click.echo(f"Nothing was decided about {name} since the pool started.", err=True)


def _row(decision: DecisionView) -> Row:
    why = decision.reason if decision.times == 1 else f"{decision.reason} ({decision.times} times)"
    return (decision.at, decision.version, seen(decision.inputs), done(decision), why)


def done(decision: DecisionView) -> str | None:
    """`start 2, stop 1: 0123abcd`; None for nothing."""
    named = (("resume", decision.resume), ("pause", decision.pause), ("stop", decision.stop))
    parts = [f"start {decision.start}"] if decision.start else []
    parts += [f"{verb} {len(ids)}: {_some(ids)}" for verb, ids in named if ids]
    return ", ".join(parts) or None


def _some(ids: Sequence[str]) -> str:
    shown = " ".join(each[:SHOWN_ID] for each in ids[:SHOWN_INSTANCES])
    return shown if len(ids) <= SHOWN_INSTANCES else f"{shown} …"


def seen(inputs: DecisionInputs | None) -> str | None:
    """What the pool had before it, as far as there was any: `2 waiting, 1 starting, 3 ready (1 idle)`."""
    if inputs is None:
        return None
    counts = (
        (inputs.queued, "waiting"),
        (inputs.on_the_way, "starting"),
        (inputs.ready, f"ready ({inputs.idle} idle)" if inputs.idle else "ready"),
        (inputs.paused, "paused"),
    )
    parts = [f"{count} {word}" for count, word in counts if count]
    return ", ".join(parts) or "no instance"
