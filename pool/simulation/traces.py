"""Reads traces from CSV files, each of one of the forms in `trace_forms`, told by its first line.

Nothing is guessed: a line that cannot be read is refused with its file and number.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from plat.errors import PlatError
from pool.simulation.trace import Trace
from pool.simulation.trace_forms import Draft, Row, form_of


def read(paths: Sequence[Path]) -> Trace:
    """One trace from all the files. Raises PlatError `invalid` naming file and line."""
    draft = Draft()
    for path in paths:
        _read_file(path, draft)
    with _named(", ".join(map(str, paths))):
        return draft.trace()


def _read_file(path: Path, draft: Draft) -> None:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, strict=True)
            with _named(path, lambda: rows.line_num):
                _read_rows(rows, draft)
    except OSError as error:
        raise PlatError("invalid", f"{path} cannot be read: {error.strerror}.") from error


def _read_rows(rows: Iterator[Row], draft: Draft) -> None:
    header = [column.strip() for column in next(rows, [])]
    take = form_of(header).begin(draft, header)
    for row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise ValueError(f"{len(row)} fields: expected {len(header)}, as in the first line")
        take(row)


@contextmanager
def _named(what: Path | str, line: Callable[[], int] | None = None) -> Iterator[None]:
    try:
        yield
    except (ValueError, csv.Error) as error:
        place = f"{what}, line {max(1, line())}" if line else what
        raise PlatError("invalid", f"{place}: {error}.") from error
