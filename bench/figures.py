"""What a question's answer is made of, and how repeats are summed up. Pure data; stored as JSON."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct, field


class Row(Struct):
    """The figures of one contender in one case: per figure one value for each repeat."""

    case: str
    contender: str
    figures: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What is wrong with the figures, if something is: calls that failed, a rate not reached."""

    def add(self, **values: float) -> None:
        for name, value in values.items():
            self.figures.setdefault(name, []).append(value)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


class Result(Struct):
    """The answer to one question."""

    question: str
    how: str
    """How it was measured, in sentences."""
    machine: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Who did not take part -> why."""
    not_measured: list[str] = field(default_factory=list)
    quick: bool = False

    def row(self, case: str, contender: str) -> Row:
        """The row, made if it is not there."""
        if (found := self.find(case, contender)) is None:
            self.rows.append(found := Row(case, contender))
        return found

    def find(self, case: str, contender: str) -> Row | None:
        return next((row for row in self.rows if (row.case, row.contender) == (case, contender)), None)

    def cases(self) -> list[str]:
        return list(dict.fromkeys(row.case for row in self.rows))

    def contenders(self) -> list[str]:
        return list(dict.fromkeys(row.contender for row in self.rows))

    def median(self, case: str, contender: str, figure: str) -> float | None:
        row = self.find(case, contender)
        values = row.figures.get(figure) if row else None
        return spread(values).median if values else None


class Spread(NamedTuple):
    low: float
    median: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(min(values), statistics.median(values), max(values))


def exact(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100 or value == 0:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"
