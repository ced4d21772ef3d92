"""What was decided lately about each function, on which inputs and why: for `plat explain`. Decides only.

Kept in memory and bounded. What repeats itself is counted, so that what did something stays in sight.
"""

import re
from collections import deque
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct

from plat.model import DecisionInputs, DecisionView
from pool.scaling import NO_LIMIT, Decision, Need

PER_FUNCTION = 20
IN_ALL = 50_000
"""Over all functions, about 35 MB; beyond it, what was decided on the longest ago is forgotten."""

NOTED = 64
"""That many at most are looked at in one go: less than a millisecond."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class Weight(IntEnum):
    """What a new entry is told apart by: it counts as a repetition only back to the next heavier one."""

    QUIET = 0
    """Nothing was done."""
    EVENT = 1
    ACTION = 2


class _Noted(NamedTuple):
    function: str
    version: int
    need: Need
    decision: Decision
    at: datetime


class _Entry(Struct, gc=False):
    at: datetime
    until: datetime
    times: int
    version: int
    weight: Weight
    decision: Decision
    kind: str
    """The reason without its numbers: `3 calls wait` and `4 calls wait` are one reason."""
    inputs: DecisionInputs | None = None


class Decisions:
    """The last `per_function` of each function, `in_all` at most over all functions."""

    def __init__(self, per_function: int = PER_FUNCTION, in_all: int = IN_ALL) -> None:
        self._per_function = per_function
        self._in_all = in_all
        self._kept: dict[str, deque[_Entry]] = {}
        """The function whose last new entry is the oldest comes first."""
        self._count = 0
        self._noted: list[_Noted] = []
        """Not looked at yet: a call may wait for what was decided."""

    def note(self, function: str, version: int, need: Need, decision: Decision, at: datetime) -> None:
        """Keep the decision as it was carried out (`start`: how many were started)."""
        self._noted.append(_Noted(function, version, need, decision, at))
        if len(self._noted) >= NOTED:
            self.settle()

    def settle(self) -> None:
        """Look at what was noted. Now and then; whoever reads does it too."""
        noted, self._noted = self._noted, []
        for each in noted:
            self._settle(*each)

    def _settle(self, function: str, version: int, need: Need, decision: Decision, at: datetime) -> None:
        weight = Weight.ACTION if _acts(decision) else Weight.QUIET
        if not self._repeated(function, version, weight, decision, at):
            kind = kind_of(decision.reason)
            self._keep(function, _Entry(at, at, 1, version, weight, decision, kind, inputs_of(need)))

    def note_event(self, function: str, version: int, reason: str, at: datetime) -> None:
        """What happened outside of `decide`: a start failed, an instance was evicted for another function."""
        self.settle()
        decision = Decision(0, (), reason)
        if not self._repeated(function, version, Weight.EVENT, decision, at):
            self._keep(function, _Entry(at, at, 1, version, Weight.EVENT, decision, kind_of(reason)))

    def of(self, function: str) -> list[DecisionView]:
        """The oldest first."""
        self.settle()
        return [_view(function, each) for each in self._kept.get(function, ())]

    def forget(self, function: str) -> None:
        self.settle()
        self._drop(function)

    def _drop(self, function: str) -> None:
        self._count -= len(self._kept.pop(function, ()))

    def __len__(self) -> int:
        self.settle()
        return self._count

    def _repeated(
        self, function: str, version: int, weight: Weight, decision: Decision, at: datetime
    ) -> bool:
        """Count it if it says nothing new. On every demand event: usually the first entry tells."""
        for entry in reversed(self._kept.get(function, ())):
            if entry.version != version:
                continue
            if entry.weight == weight and _is_same(entry, decision):
                entry.times += 1
                entry.until = at
                return True
            if weight is Weight.ACTION or entry.weight > weight:
                return False
        return False

    def _keep(self, function: str, entry: _Entry) -> None:
        ring = self._kept.pop(function, None)
        if ring is None:
            ring = deque(maxlen=self._per_function)
        self._count -= len(ring)
        ring.append(entry)
        self._count += len(ring)
        self._kept[function] = ring
        while self._count > self._in_all:
            self._drop(next(iter(self._kept)))


def _acts(decision: Decision) -> bool:
    return bool(decision.start or decision.resume or decision.pause or decision.stop)


def _is_same(entry: _Entry, decision: Decision) -> bool:
    """What did something repeats itself only if it is equal; otherwise numbers in the reason may differ."""
    if entry.weight is Weight.ACTION:
        return entry.decision == decision
    return entry.decision.reason == decision.reason or entry.kind == kind_of(decision.reason)


def kind_of(reason: str) -> str:
    return _NUMBER.sub("#", reason)


def inputs_of(need: Need) -> DecisionInputs:
    """What `decide` was given, as others are shown it: instances counted, no monotonic times."""
    return DecisionInputs(
        live=need.live,
        stopped=need.stopped,
        min=need.min,
        max=need.max,
        idle_s=need.idle_s,
        pause_after_s=need.pause_after_s,
        concurrency=need.concurrency,
        queued=need.queued,
        ready=need.ready,
        on_the_way=need.on_the_way,
        promised=need.promised,
        idle=len(need.idle),
        paused=len(need.paused),
        backing_off=need.retry_at > float("-inf"),
        room=None if need.room >= NO_LIMIT else need.room,
        processors_busy=need.processors_busy,
    )


def _view(function: str, entry: _Entry) -> DecisionView:
    decision = entry.decision
    return DecisionView(
        function=function,
        version=entry.version,
        at=entry.at,
        until=entry.until,
        times=entry.times,
        reason=decision.reason,
        start=decision.start,
        resume=list(decision.resume),
        pause=list(decision.pause),
        stop=list(decision.stop),
        inputs=entry.inputs,
    )
