"""A function and its instances as the simulator has them: what the ledger and the fleet are to the pool."""

from collections import deque

from pool.drivers.base import Kind
from pool.learning import Arrivals
from pool.scaling import IdleInstance, Need
from pool.simulation.policy import Policy
from pool.simulation.tally import Served
from pool.simulation.trace import Profile

UNLIMITED = 1 << 40


class SimulatedInstance:
    """One copy."""

    __slots__ = ("began", "busy", "function", "id", "kind", "since", "used")

    def __init__(self, id_: str, function: "SimulatedFunction", began: float, kind: Served) -> None:
        self.id = id_
        self.function = function
        self.began = began
        self.kind = kind
        """How it became ready: so are the calls served that waited for it."""
        self.busy = 0
        self.since = began
        """Of its last use, or of becoming ready."""
        self.used = False
        """A call was in it."""


class SimulatedFunction:
    """Its instances by state, and its waiting calls."""

    def __init__(self, profile: Profile, policy: Policy) -> None:
        self.name = profile.name
        self.memory_mb = profile.memory_mb or policy.function_memory_mb
        self.cold_s = policy.cold_s if profile.cold_s is None else profile.cold_s
        self.slots = policy.concurrency or UNLIMITED
        self.policy = policy
        self.queue: deque[tuple[float, float]] = deque()
        """Arrival and duration."""
        self.free: dict[SimulatedInstance, None] = {}
        """Ready, with a free slot; the last used at the end."""
        self.idle: dict[SimulatedInstance, None] = {}
        """Ready, without a call; the longest idle first."""
        self.paused: dict[SimulatedInstance, None] = {}
        self.ready = 0
        self.on_the_way = 0
        self.last_used = float("-inf")
        self.timer = float("inf")
        """When its idle instances are looked at again."""
        self.arrivals = Arrivals() if policy.keep == "learned" else None
        self.expected_until = float("-inf")
        """An instance was made ready ahead, for a call that should come before this."""

    @property
    def alive(self) -> int:
        return self.ready + self.on_the_way + len(self.paused)

    @property
    def warm_kind(self) -> Kind:
        """Warm instances of one runtime differ in their memory only."""
        return Kind("any", self.memory_mb, 1.0)

    @property
    def idle_s(self) -> float:
        return self.arrivals.keep_alive_s(self.policy.idle_s) if self.arrivals else self.policy.idle_s

    def need(self, now: float, room: int) -> Need:
        minimum = max(self.policy.min, int(now < self.expected_until))
        return Need(
            live=True,
            stopped=False,
            min=min(minimum, self.policy.max),
            max=self.policy.max,
            idle_s=self.idle_s,
            pause_after_s=self.policy.pause_after_s,
            concurrency=self.policy.concurrency,
            queued=len(self.queue),
            ready=self.ready,
            on_the_way=self.on_the_way,
            idle=tuple(IdleInstance(each.id, each.since) for each in self.idle),
            paused=tuple(IdleInstance(each.id, each.since) for each in self.paused),
            retry_at=float("-inf"),
            room=room,
        )

    def next_look(self, now: float) -> float:
        """When time alone may change something: an idle instance is due to be paused or stopped."""
        idle_s, pause_s = self.idle_s, self.policy.pause_after_s
        if pause_s is None or pause_s > idle_s:
            pause_s = idle_s
        return min(
            _first(self.idle, pause_s, now), _first(self.idle, idle_s, now), _first(self.paused, idle_s, now)
        )


def _first(instances: dict[SimulatedInstance, None], after_s: float, now: float) -> float:
    """The first time to come at which one of them was idle for so long."""
    for each in instances:
        if each.since + after_s > now:
            return each.since + after_s
    return float("inf")
