"""When a service that died is started again. Decides only: time is passed in."""

from msgspec import Struct

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 10.0
SETTLED_S = 30.0
"""A service that lived this long had not died for the reason it died of before."""

DEATHS_AT_START = 5
"""So many deaths before the service was ever ready: it will not become ready."""


class Past(Struct, frozen=True):
    """What is known of a service's deaths. `row`: those in a row, with less than SETTLED_S between."""

    row: int = 0
    was_ready: bool = False


class Restart(Struct, frozen=True):
    after_s: float
    past: Past


class GiveUp(Struct, frozen=True):
    deaths: int


def after_death(past: Past, *, started_at: float, now: float) -> Restart | GiveUp:
    """What to do about a service that was started at `started_at` and died `now` (both monotonic)."""
    row = 1 if now - started_at >= SETTLED_S else past.row + 1
    if not past.was_ready and row >= DEATHS_AT_START:
        return GiveUp(deaths=row)
    delay_s = min(FIRST_DELAY_S * 2.0 ** min(row - 1, 10), LONGEST_DELAY_S)
    return Restart(after_s=delay_s, past=Past(row=row, was_ready=past.was_ready))
