"""What a command prints: a table on a terminal, tab-separated lines in a pipe, JSON when asked.

Results go to stdout, steps of the work to stderr. rich is loaded for a terminal only.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

Row = Sequence[object]


def print_json(value: object) -> None:
    """One document, indented on a terminal."""
    encoded = msgspec.json.encode(value)
    click.echo(msgspec.json.format(encoded, indent=2) if sys.stdout.isatty() else encoded)


def print_table(columns: Sequence[str], rows: Sequence[Row]) -> None:
    """In a pipe: a line a row, without a head, fields separated by tabs (as `cut` and `awk` take them)."""
    texts = [[_text(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for row in texts:
            click.echo("\t".join(row))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in texts:
        table.add_row(*(Text(value) for value in row))
    Console().print(table)


def print_pairs(pairs: Sequence[tuple[str, object]]) -> None:
    """A name and a value a line: aligned on a terminal, separated by a tab in a pipe."""
    width = max(len(name) for name, _ in pairs) + 2
    for name, value in pairs:
        separated = f"{name:<{width}}" if sys.stdout.isatty() else f"{name}\t"
        click.echo(separated + _text(value))


def _text(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        case _:
            return str(value)


def size(count: int) -> str:
    """`1.5 MB`: decimal units, as disks and networks count."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


class Steps:
    """The steps of a command, one after the other; on a terminal the current one has a spinner."""

    def __init__(self, status: Any = None, *, quiet: bool = False) -> None:
        self._status = status
        self._quiet = quiet

    def __call__(self, text: str) -> None:
        if self._status is not None:
            self._status.update(f"{text}…")
        elif not self._quiet:
            click.echo(f"{text}…", err=True)


@contextmanager
def steps(quiet: bool) -> Iterator[Steps]:
    """`quiet` (for --json) shows nothing."""
    if quiet or not sys.stderr.isatty():
        yield Steps(quiet=quiet)
        return
    from rich.console import Console  # noqa: PLC0415

    with Console(stderr=True).status("…") as status:
        yield Steps(status)
