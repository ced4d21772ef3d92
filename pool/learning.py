"""When a function will be called again, learned from its idle gaps and minutes of the hour. Decides only.

After the hybrid histogram of "Serverless in the Wild" (Shahrad et al., USENIX ATC 2020), with a price in
the place of its fixed percentiles: `docs/decisions/0009-learned-keep-alive.md` says why, with figures.
"""

from array import array
from bisect import bisect_right, insort
from itertools import accumulate
from math import inf, log2
from typing import NamedTuple

from msgspec import Struct

BINS_PER_OCTAVE = 8
"""Gaps are known to 9 %."""

SHORTEST_S = 1.0
"""After a shorter gap the instance of the call before is there in any case."""

LONGEST_S = 86_400.0
BINS = int(log2(LONGEST_S / SHORTEST_S) * BINS_PER_OCTAVE) + 1

MOST_STOPPED = 16
"""Stopped instances whose last use is remembered."""

FEWEST_GAPS = 6
"""With fewer the fixed time holds."""

MOST_GAPS = 1024
"""Then all counts are halved: what was learned long ago fades."""

WORTH = 2.0
"""A cold start is worth this many times the fixed time: so long may an instance idle to avoid one."""

START_SHARE = 0.3
"""An instance that is made ready ahead costs this share of a cold start: nobody waits for it."""

MARGIN = 0.1
"""A window begins this share of the gap earlier than the histogram says, as in the paper."""

KEEP_LEAST_S = 10.0
"""An instance stays so long in any case: the routers hold its slots."""

MINUTES = 60
MINUTE_S = 60.0
FEWEST_HOURS = 4
MOST_HOURS = 48
REGULAR_SHARE = 0.75
"""Of the hours: a minute in which a call came that often is expected to have one."""

REGULAR_MOST = 12
"""Minutes of an hour; a function with more is called all the time."""

EARLY_S = 10.0
"""So long before a minute its window begins: a timer's call comes at its very start."""

BELIEF_S = 2 * 3600.0
"""A function that was not called for so long is not made ready at its minutes any more."""


class Window(NamedTuple):
    """An instance should be ready from `begin` on, and is not needed any more at `end`. Monotonic."""

    begin: float
    end: float


class Plan(Struct, frozen=True, gc=False):
    """Seconds after the last use. `ready_s` is 0 if none is made ready again."""

    keep_s: float
    ready_s: float = 0.0
    until_s: float = 0.0
    by_minute: bool = False
    """Ready at the regular minutes of the hour."""


class Arrivals:
    """What one function's calls have told: at most 1 KB. Made at its first call."""

    __slots__ = ("_gaps", "_known", "_minutes", "_plan", "_planned_at", "_planned_for", "_stopped")

    def __init__(self) -> None:
        self._gaps: array[int] | None = None
        """How many gaps of each length; the last bin has all that are longer."""
        self._known = 0
        self._minutes: Minutes | None = None
        self._stopped = array("d")
        """When the instances that are gone were last used, the latest at the end."""
        self._plan: Plan | None = None
        self._planned_at = 0
        self._planned_for = 0.0

    def called(self, now: float, last_used: float | None = None) -> None:
        """A call takes an idle instance that was last used then; None: one that no call had before.

        In its place would be the one that was stopped last, had it been kept: the gap is that one's.
        """
        if last_used is None and self._stopped:
            last_used = self._stopped.pop()
        if self._minutes is None:
            self._minutes = Minutes(now)
        self._minutes.called(now)
        if last_used is not None and now - last_used >= SHORTEST_S:
            self._note(now - last_used)

    def stopped(self, last_used: float) -> None:
        """An idle instance was stopped that had calls."""
        insort(self._stopped, last_used)
        if len(self._stopped) > MOST_STOPPED:
            del self._stopped[0]

    def keep_alive_s(self, fixed_s: float) -> float:
        """How long an idle instance stays after its last use, or after it was made ready ahead."""
        return self._planned(fixed_s).keep_s

    def expected(self, last_used: float, fixed_s: float, now: float) -> Window | None:
        """When the next call is expected that the kept instance will not see, if that is not over yet."""
        plan = self._planned(fixed_s)
        if plan.by_minute and self._minutes is not None:
            return (
                self._minutes.next(max(last_used + plan.keep_s, now)) if now - last_used < BELIEF_S else None
            )
        if plan.ready_s and now < last_used + plan.until_s:
            return Window(last_used + plan.ready_s, last_used + plan.until_s)
        return None

    def _note(self, gap_s: float) -> None:
        if self._gaps is None:
            self._gaps = array("H", bytes(2 * (BINS + 1)))
        self._gaps[bin_of(gap_s)] += 1
        self._known += 1
        if self._known >= MOST_GAPS:
            self._gaps = array("H", (count // 2 for count in self._gaps))
            self._planned_at = self._known = sum(self._gaps)

    def _planned(self, fixed_s: float) -> Plan:
        """Made anew when there is an eighth more to go by."""
        stale = self._known * 8 >= self._planned_at * 9 and self._known != self._planned_at
        if self._plan is None or stale or self._planned_for != fixed_s:
            self._plan = self._make_plan(fixed_s)
            self._planned_at, self._planned_for = self._known, fixed_s
        return self._plan

    def _make_plan(self, fixed_s: float) -> Plan:
        if self._gaps is None or self._known < FEWEST_GAPS:
            return Plan(fixed_s)
        cost, plan = _Costs(self._gaps, fixed_s).best()
        if self._minutes is not None and self._minutes.cost_s(WORTH * fixed_s) * self._known < cost:
            return Plan(min(fixed_s, KEEP_LEAST_S), by_minute=True)
        return plan


class Minutes:
    """In how many hours a call came in each minute of the hour. The hour's begin is anybody's guess."""

    __slots__ = ("_calls", "_first", "_hits", "_hours", "_last")

    def __init__(self, now: float) -> None:
        self._first = now
        self._last = -1
        self._hits = array("B", bytes(MINUTES))
        self._hours = 0.0
        """What was forgotten of them taken off."""
        self._calls = 0

    def called(self, now: float) -> None:
        minute = int(now // MINUTE_S)
        if minute == self._last:
            return
        self._last = minute
        self._hours = (now - self._first) / 3600
        if self._hours >= MOST_HOURS:
            self._hits = array("B", (count // 2 for count in self._hits))
            self._first += 3600 * self._hours / 2
            self._hours /= 2
        self._hits[minute % MINUTES] += 1

    def regular(self) -> list[int]:
        """Those in which, or in the minute after, most hours have a call: timers are not exact."""
        if self._hours < FEWEST_HOURS:
            return []
        enough = REGULAR_SHARE * self._hours
        hits = self._hits
        found = [m for m in range(MINUTES) if hits[m] and hits[m] + hits[(m + 1) % MINUTES] >= enough]
        return found if len(found) <= REGULAR_MOST else []

    def cost_s(self, worth_s: float) -> float:
        """Idle seconds for each gap, those that a cold start is worth included."""
        regular = self.regular()
        total = sum(self._hits)
        if not regular or not total:
            return inf
        covered = {each for m in regular for each in (m, (m + 1) % MINUTES)}
        hit = sum(self._hits[m] for m in covered)
        idle_s = (MINUTE_S * len(covered) + EARLY_S * len(regular)) * self._hours - 0.5 * MINUTE_S * hit
        return (idle_s + worth_s * (total - hit)) / total

    def next(self, after: float) -> Window | None:
        """The next regular minute and the one after it."""
        regular = set(self.regular())
        first = int((after + EARLY_S) // MINUTE_S) + 1
        for minute in range(first, first + MINUTES):
            if minute % MINUTES in regular:
                return Window(minute * MINUTE_S - EARLY_S, (minute + 2) * MINUTE_S)
        return None


def bin_of(gap_s: float) -> int:
    """The place of a gap of at least SHORTEST_S in the histogram."""
    return min(BINS, int(log2(gap_s / SHORTEST_S) * BINS_PER_OCTAVE))


def middle_of(place: int) -> float:
    """A length that stands for a bin; of those beyond the longest, infinite."""
    return SHORTEST_S * 2 ** ((place + 0.5) / BINS_PER_OCTAVE) if place < BINS else inf


class _Costs:
    """What a plan costs with the gaps known: seconds an instance idles, and `worth_s` for each cold start."""

    def __init__(self, gaps: "array[int]", fixed_s: float) -> None:
        places = [place for place, count in enumerate(gaps) if count]
        self._worth_s = WORTH * fixed_s
        self._fixed_s = fixed_s
        self._lengths = [middle_of(place) for place in places]
        self._counts = [0, *accumulate(gaps[place] for place in places)]
        """Of the gaps before each place; the last is that of all."""
        spent = (length * gaps[place] for length, place in zip(self._lengths, places, strict=True))
        self._sums = [0.0, *accumulate(spent)]

    def best(self) -> tuple[float, Plan]:
        least = min(self._fixed_s, KEEP_LEAST_S)
        finite = [length for length in self._lengths if length < inf]
        keeps = [self._fixed_s, least, *(length * (1 + MARGIN) for length in finite if length > least)]
        kept = min((self._kept(keep_s), keep_s) for keep_s in keeps)
        ahead = [self._ahead(keep_s) for keep_s in {least, kept[1]}]
        return min([(kept[0], Plan(kept[1])), *ahead], key=lambda each: each[0])

    def _kept(self, keep_s: float) -> float:
        place = bisect_right(self._lengths, keep_s)
        return self._sums[place] + (self._counts[-1] - self._counts[place]) * (keep_s + self._worth_s)

    def _ahead(self, keep_s: float) -> tuple[float, Plan]:
        """The best window after it was stopped."""
        lengths, counts, sums = self._lengths, self._counts, self._sums
        first, everything, most = (
            bisect_right(lengths, keep_s),
            counts[-1],
            len(lengths) - (lengths[-1] == inf),
        )
        before = sums[first] + (everything - counts[first]) * keep_s
        best = (inf, Plan(keep_s))
        for begin in range(first, most):
            ready_s = lengths[begin] * (1 - MARGIN)
            if ready_s <= keep_s:
                continue
            missed = before + (counts[begin] - counts[first]) * self._worth_s
            missed += (everything - counts[begin]) * START_SHARE * self._worth_s
            for end in range(begin + 1, most + 1):
                until_s = lengths[end - 1] * (1 + MARGIN)
                hit = sums[end] - sums[begin] - ready_s * (counts[end] - counts[begin])
                late = (everything - counts[end]) * (until_s - ready_s + self._worth_s)
                if missed + hit + late < best[0]:
                    best = (missed + hit + late, Plan(keep_s, ready_s, until_s))
        return best
