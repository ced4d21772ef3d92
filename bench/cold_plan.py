"""How many calls of each rung at which rate. Decides only."""

from msgspec import Struct

FREE, PAUSED, WARM, IMPORTS = "free slot", "paused", "warm", "warm, with imports"
CREATED = "create + start"
STOCKED = "warm, larger stock"
RUN, API = "docker run", "docker create + start, API"

SLOW, MEDIUM, FAST = 1.0, 10.0, 50.0
"""Calls a second."""

MEMORY_MB = 48
"""Of each function, so that the machine has room for all of them at once."""

STOCK = 24
"""What `PLAT_WARM` is for the row with a larger stock."""

DISCARDED = 4
"""Calls of each rung before anything counts."""


class Calls(Struct, frozen=True):
    """Of one driver, by rate; 0: that is left out. `created`: those without a warm stock."""

    slow: int
    medium: int
    fast: int
    created: tuple[int, int, int]
    stocked: tuple[int, int]
    """At the medium and the fast rate."""
    imports: int
    """At the slow rate, of functions with imports."""
    paused: int
    """Functions whose instances are paused; called again and again."""

    def cold(self) -> int:
        """Functions that are called once."""
        return self.slow + self.medium + self.fast + sum(self.created) + sum(self.stocked) + 3 * DISCARDED


class Plan(Struct, frozen=True):
    """`docker_runs`: how often a container is run without us, and how often created through the API."""

    calls: dict[str, Calls]
    docker_runs: int
    parts: int
    """Cold starts that are taken apart."""
    moves: int
    """Slots that go from one router to the other."""
    quick: bool


FULL = Plan(
    calls={
        "process": Calls(45, 50, 100, created=(15, 30, 50), stocked=(30, 50), imports=12, paused=50),
        "docker": Calls(30, 30, 50, created=(10, 15, 20), stocked=(20, 40), imports=8, paused=30),
    },
    docker_runs=12,
    parts=25,
    moves=40,
    quick=False,
)
QUICK = Plan(
    calls={
        "process": Calls(6, 10, 0, created=(0, 10, 0), stocked=(0, 0), imports=3, paused=6),
        "docker": Calls(6, 5, 0, created=(0, 3, 0), stocked=(0, 0), imports=3, paused=6),
    },
    docker_runs=2,
    parts=8,
    moves=10,
    quick=True,
)


def case(driver: str, rate: float) -> str:
    return f"{driver}, {rate:g}/s"
