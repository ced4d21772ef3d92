"""The forms of trace files: our own, Azure Functions 2019 and 2021, Iluvatar. Rows in, a trace out.

Azure: https://github.com/Azure/AzurePublicDataset. Every ValueError says what is wrong with the row.
"""

import random
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from math import isfinite, nan
from statistics import median
from typing import NamedTuple

from pool.simulation.trace import Call, Profile, Trace

Row = list[str]
Take = Callable[[Row], None]

MOST_CALLS = 20_000_000
"""About a GB; a whole day of the 2019 trace has forty times as many."""

DAY_S = 86_400.0
MINUTE_S = 60.0


class _Day(NamedTuple):
    """A function's calls by minute (2019)."""

    function: str
    trigger: str
    begin_s: float
    counts: "array[int]"


class Draft:
    """A trace while its files are read. What several files say of one function comes together by its name."""

    def __init__(self) -> None:
        self.profiles: dict[str, Profile] = {}
        self.durations_s: dict[str, float] = {}
        """By function, where they are not said of each call."""
        self.percentiles: dict[str, list[tuple[float, float]]] = {}
        """By function: shares of the calls, and the seconds that they take at most (2019)."""
        self.app_memory_mb: dict[str, int] = {}
        self.days: list[_Day] = []
        self.day_files = 0
        self._numbers: dict[str, int] = {}
        self._arrivals, self._functions, self._durations = array("d"), array("L"), array("d")
        self._counted = 0

    def profile(self, name: str) -> Profile:
        if name not in self.profiles:
            self.profiles[name] = Profile(name)
        return self.profiles[name]

    def call(self, name: str, arrival_s: float, duration_s: float = nan) -> None:
        self.count(1)
        self._arrivals.append(arrival_s)
        self._functions.append(self._number(name))
        self._durations.append(duration_s)

    def count(self, calls: int) -> None:
        self._counted += calls
        if self._counted > MOST_CALLS:
            raise ValueError(f"more than {MOST_CALLS} calls: take fewer functions or a shorter time")

    def trace(self) -> Trace:
        """Raises ValueError where the files together are not enough."""
        if not self._counted:
            raise ValueError("no call in it")
        if self.days and not self.percentiles:
            raise ValueError("calls by minute have no durations: give the file with the durations too")
        calls = [*self._calls(), *self._calls_by_minute()]
        functions = [self.profile(name) for name in self._numbers]
        for profile in functions:
            if profile.memory_mb is None:
                profile.memory_mb = self.app_memory_mb.get(profile.name.rpartition("/")[0])
        return Trace(functions, calls)

    def _number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    def _calls(self) -> Iterator[Call]:
        names = list(self._numbers)
        for call in map(Call, self._arrivals, self._functions, self._durations):
            if call.duration_s >= 0:
                yield call
                continue
            name = names[call.function]
            if name not in self.durations_s:
                raise ValueError(f'no duration of "{name}": give the file with the durations too')
            yield call._replace(duration_s=self.durations_s[name])

    def _calls_by_minute(self) -> Iterator[Call]:
        """A timer's calls come at the minute's begin, others anywhere in it: the same ones in every run."""
        if not self.days:
            return
        middle = median(dict(points).get(0.5, points[-1][1]) for points in self.percentiles.values())
        usual = [(0.0, middle), (1.0, middle)]
        for day in self.days:
            chance = random.Random(f"{day.function} {day.begin_s}")  # noqa: S311 - no secret
            number = self._number(day.function)
            points = self.percentiles.get(day.function, usual)
            for minute, calls in enumerate(day.counts):
                begin_s = day.begin_s + minute * MINUTE_S
                for place in range(calls):
                    share = place / calls if day.trigger == "timer" else chance.random()
                    yield Call(begin_s + share * MINUTE_S, number, _between(points, chance.random()))


class Form(NamedTuple):
    """A kind of file: how its first line begins, and what takes its rows."""

    columns: tuple[str, ...]
    begin: Callable[[Draft, Row], Take]


def form_of(header: Row) -> Form:
    for form in FORMS:
        if tuple(header[: len(form.columns)]) == form.columns:
            return form
    known = "; ".join(",".join(form.columns) for form in FORMS)
    raise ValueError(f'the first line begins with "{",".join(header)[:60]}": expected one of {known}')


def number_of(text: str, column: str, least: float | None = None) -> float:
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number) or (least is not None and number < least):
        bound = "" if least is None else f" of at least {least:g}"
        raise ValueError(f'{column} = "{text[:40]}": expected a number{bound}')
    return number


def _megabytes(text: str, column: str) -> int:
    return max(1, round(number_of(text, column, 0)))


def _named(*parts: str) -> str:
    if not all(parts):
        raise ValueError("a function without a name")
    return "/".join(parts)


# --- function,arrival_s,duration_s[,memory_mb][,cold_s]


def _own(draft: Draft, header: Row) -> Take:
    unknown = sorted(set(header[3:]) - {"memory_mb", "cold_s"})
    if unknown:
        raise ValueError(f'unknown column "{unknown[0]}": after duration_s may come memory_mb and cold_s')

    def take(row: Row) -> None:
        name = _named(row[0])
        draft.call(name, number_of(row[1], "arrival_s"), number_of(row[2], "duration_s", 0))
        for column, text in zip(header[3:], row[3:], strict=True):
            if text and column == "memory_mb":
                draft.profile(name).memory_mb = _megabytes(text, column)
            elif text:
                draft.profile(name).cold_s = number_of(text, column, 0)

    return take


# --- Azure Functions 2021: a line a call


def _azure_2021(draft: Draft, _header: Row) -> Take:
    def take(row: Row) -> None:
        """`func` is a name within its `app`; the time is that of the call's end."""
        duration_s = number_of(row[3], "duration", 0)
        draft.call(_named(row[0], row[1]), number_of(row[2], "end_timestamp") - duration_s, duration_s)

    return take


# --- Azure Functions 2019: calls by minute, durations and memory in files of their own


def _azure_2019(draft: Draft, header: Row) -> Take:
    """Files of counts follow each other day by day."""
    begin_s = draft.day_files * DAY_S
    draft.day_files += 1

    def take(row: Row) -> None:
        counts = array("L", map(_calls_in, row[4:], header[4:]))
        draft.count(sum(counts))
        draft.days.append(_Day(_named(*row[:3]), row[3], begin_s, counts))

    return take


def _calls_in(text: str, minute: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise ValueError(f'calls in minute {minute} = "{text[:40]}": expected a whole number of at least 0')
    return int(text)


def _azure_2019_durations(draft: Draft, header: Row) -> Take:
    """Milliseconds, in columns such as percentile_Average_99."""
    shares = {
        place: number_of(column.rpartition("_")[2], column) / 100
        for place, column in enumerate(header)
        if column.startswith("percentile_Average_")
    }

    def take(row: Row) -> None:
        points = [(share, number_of(row[place], header[place], 0) / 1000) for place, share in shares.items()]
        mean_s = number_of(row[3], "Average", 0) / 1000
        draft.percentiles[_named(*row[:3])] = sorted(points) or [(0.0, mean_s), (1.0, mean_s)]

    return take


def _azure_2019_memory(draft: Draft, _header: Row) -> Take:
    def take(row: Row) -> None:
        draft.app_memory_mb[_named(*row[:2])] = _megabytes(row[3], "AverageAllocatedMb")

    return take


def _between(points: list[tuple[float, float]], share: float) -> float:
    """The value at a share of a distribution that is known at some points, in their order."""
    place = bisect_left(points, share, key=lambda point: point[0])
    if place in (0, len(points)):
        return points[min(place, len(points) - 1)][1]
    (low, below), (high, above) = points[place - 1], points[place]
    return below + (above - below) * (share - low) / (high - low)


# --- Iluvatar: milliseconds, and what is known of each function in a file of its own


def _iluvatar(draft: Draft, _header: Row) -> Take:
    return lambda row: draft.call(_named(row[0]), number_of(row[1], "invoke_time_ms") / 1000)


def _iluvatar_functions(draft: Draft, header: Row) -> Take:
    def take(row: Row) -> None:
        """A cold call's time has the work in it too: a start is the difference."""
        name = _named(row[0])
        cold_s, warm_s = (
            number_of(text, column, 0) / 1000 for text, column in zip(row[1:3], header[1:3], strict=True)
        )
        profile = draft.profile(name)
        profile.cold_s, profile.memory_mb = max(0.0, cold_s - warm_s), _megabytes(row[3], "mem_mb")
        draft.durations_s[name] = warm_s

    return take


FORMS = (
    Form(("function", "arrival_s", "duration_s"), _own),
    Form(("app", "func", "end_timestamp", "duration"), _azure_2021),
    Form(("HashOwner", "HashApp", "HashFunction", "Trigger"), _azure_2019),
    Form(("HashOwner", "HashApp", "HashFunction", "Average"), _azure_2019_durations),
    Form(("HashOwner", "HashApp", "SampleCount", "AverageAllocatedMb"), _azure_2019_memory),
    Form(("func_name", "invoke_time_ms"), _iluvatar),
    Form(("func_name", "cold_dur_ms", "warm_dur_ms", "mem_mb"), _iluvatar_functions),
)
