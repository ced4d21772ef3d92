"""Cron expressions, read as Debian's cron reads them. The only module that knows cronsim.

Of an expression we ask only whether a minute matches, never for the next one.
"""

from datetime import datetime
from functools import lru_cache

from cronsim import CronSim, CronSimError

_ANY_TIME = datetime(2000, 1, 1)
"""Where cronsim would begin to look for the next minute."""

_EXPECTED = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31 or L, the last, in a month that has that day",
    "month": "1 to 12 or jan to dec",
    "day-of-week": "0 to 7 or sun to sat, 0 and 7 for Sunday",
}
"""The five fields in their order, and what each may hold."""


def fault_of(expression: str) -> str | None:
    """What is wrong with the expression, in words that name the field and its value; None: nothing."""
    fields = expression.split()
    if len(fields) != len(_EXPECTED):  # cronsim takes a sixth, for seconds
        return f"expected five fields: {' '.join(_EXPECTED)}"
    try:
        _parsed(expression)
    except CronSimError as error:
        name = str(error).removeprefix("Bad ")
        value = fields[list(_EXPECTED).index(name)]
        return f"its {name} is {value}: expected {_EXPECTED[name]}; or *, lists 1,2, ranges 1-5, steps */5"
    return None


def matches(expression: str, when: datetime) -> bool:
    """Whether the minute of `when`, which is wall-clock time, is one of those the expression names.

    Raises ValueError for what is no cron expression.
    """
    try:
        cron = _parsed(expression)
    except CronSimError as error:
        raise ValueError(f'"{expression}" is no cron expression: {error}') from error
    return (
        when.minute in cron.minutes
        and when.hour in cron.hours
        and when.month in cron.months
        and cron.match_day(when.date())
    )


@lru_cache(maxsize=1024)
def _parsed(expression: str) -> CronSim:
    return CronSim(expression, _ANY_TIME)
