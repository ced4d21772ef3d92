"""Goes round the versions, fairly and in turns: what waits for one of them does not wait for the round."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from pool.demand import Demands
from pool.fleet import Fleet
from pool.room import Look
from pool.scaler import Scaler
from pool.table import FunctionTable

TURN_S = 0.001
"""Others have their turn after each of these: a round of 160 versions takes 12 ms."""


class Rounds:
    """`balance` is told the id of each version that has its turn."""

    def __init__(
        self,
        table: FunctionTable,
        fleet: Fleet,
        demands: Demands,
        scaler: Scaler,
        balance: Callable[[str], None],
    ) -> None:
        self._table = table
        self._fleet = fleet
        self._demands = demands
        self._scaler = scaler
        self._balance = balance

    def of_all(self) -> Iterator[None]:
        """Every version that has instances, waiting calls, or a minimum to keep."""
        return self._of(self._in_use())

    def of_what_is_due(self, now: float) -> Iterator[None]:
        """Those of them of which something happened, or is due by now."""
        return self._of(self._scaler.not_quiet(self._in_use(), now))

    def fairly(self, versions: Iterable[str]) -> list[str]:
        """Where not all can have what they want, those with the fewest instances come first."""
        return sorted(versions, key=lambda each: len(self._fleet.members(each)))

    def _in_use(self) -> set[str]:
        versions = {member.version.id for member in self._fleet.members()} | set(self._demands.versions())
        versions |= {
            version.id
            for function in self._table.with_minimum()
            if self._scaler.minimum(function)
            for version in function.versions
            if version.number == function.live
        }
        self._scaler.only_these_want(versions)
        return versions

    def _of(self, versions: Iterable[str]) -> Iterator[None]:
        rest, look = deque(self.fairly(versions)), Look()
        while rest:
            with self._scaler.room.seen_as(look):
                self._take_turn(rest)
            yield

    def _take_turn(self, rest: deque[str]) -> None:
        ends = time.monotonic() + TURN_S
        while rest:
            self._balance(rest.popleft())
            if time.monotonic() >= ends:
                return
