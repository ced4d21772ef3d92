"""The machine's memory as the simulator has it: who has how much, and who may be driven out."""

from pool.drivers.base import Kind
from pool.eviction import EVICTORS, Candidate
from pool.simulation.functions import SimulatedFunction, SimulatedInstance
from pool.simulation.policy import Policy
from pool.simulation.stock import SimulatedStock


class SimulatedMachine:
    """Memory of instances and of the warm stock; together never more than there is."""

    def __init__(self, functions: list[SimulatedFunction], policy: Policy) -> None:
        self._policy = policy
        self._free_mb = policy.memory_mb
        self._stock_mb = 0
        self._since = 0.0
        self._mb_seconds = 0.0
        self.stock = SimulatedStock(functions, policy)
        self.evictor = EVICTORS[policy.evict]()
        self.candidates: dict[SimulatedInstance, Candidate] = {}
        """Ready or paused, without a call; those that came to it last at the end."""

    @property
    def used_mb(self) -> int:
        return self._policy.memory_mb - self._free_mb

    def mb_seconds(self, now: float) -> float:
        """Of all memory that was in use until now."""
        self._mb_seconds += (now - self._since) * self.used_mb
        self._since = now
        return self._mb_seconds

    def take(self, memory_mb: int, now: float) -> None:
        """A negative number gives back."""
        self.mb_seconds(now)
        self._free_mb -= memory_mb
        assert self._free_mb >= 0, "more memory than there is"

    def room(self, function: SimulatedFunction) -> int:
        """Instances that could be started. What is made ahead, for no call that waits, drives nobody out."""
        room_mb = self._free_mb
        if function.queue and room_mb < (self._policy.max - function.alive) * function.memory_mb:
            room_mb += self._stock_mb + sum(each.memory_mb for each in self._evictable())
        return max(0, room_mb // function.memory_mb)

    def take_warm(self, function: SimulatedFunction, now: float) -> bool:
        """A warm instance becomes one of the function, and its memory with it."""
        taken = self.stock.take(function.warm_kind, now)
        self._stock_mb -= function.memory_mb * taken
        return taken

    def victims(self, memory_mb: int, now: float) -> list[str] | None:
        """Whom to stop for so much memory; warm instances have gone before. None: it cannot be had."""
        while self._free_mb < memory_mb and (kind := self.stock.drop()):
            self._return_warm(kind, now)
        if self._free_mb >= memory_mb:
            return []
        return self.evictor.choose(self._evictable(), memory_mb - self._free_mb) or None

    def keep_warm(self, now: float) -> list[Kind]:
        """Give back what is too much of the warm stock; what to make, its memory taken already."""
        for kind in self.stock.surplus(now):
            self._return_warm(kind, now)
        made = []
        for kind in self.stock.lacking(now):
            if self._free_mb >= kind.memory_mb:
                self.stock.make(kind)
                self.take(kind.memory_mb, now)
                self._stock_mb += kind.memory_mb
                made.append(kind)
        return made

    def may_go(self, instance: SimulatedInstance, paused: bool) -> None:
        """No call is in it."""
        function = instance.function
        self.candidates[instance] = Candidate(
            instance.id, function.name, function.memory_mb, instance.since, paused
        )

    def _return_warm(self, kind: Kind, now: float) -> None:
        self._stock_mb -= kind.memory_mb
        self.take(-kind.memory_mb, now)

    def _evictable(self) -> list[Candidate]:
        """Instances without a call that are not of a function's minimum."""
        if not self._policy.min:
            return list(self.candidates.values())
        chosen: list[Candidate] = []
        spare: dict[SimulatedFunction, int] = {}
        for instance, candidate in self.candidates.items():
            function = instance.function
            left = spare.setdefault(function, function.alive - self._policy.min)
            if left > 0:
                spare[function] = left - 1
                chosen.append(candidate)
        return chosen
