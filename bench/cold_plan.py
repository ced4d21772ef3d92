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
    """Of one driver, by rate. `created`: those without a warm stock."""

    slow: int
    medium: int
    fast: int
    created: tuple[int, int, int]
    stocked: tuple[int, int]
    """At the medium and the fast rate."""
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
    quick: bool


FULL = Plan(
    calls={
        "process": Calls(60, 60, 100, created=(20, 50, 100), stocked=(30, 50), paused=60),
        "docker": Calls(40, 40, 50, created=(15, 20, 30), stocked=(20, 40), paused=40),
    },
    docker_runs=15,
    parts=40,
    quick=False,
)
QUICK = Plan(
    calls={
        "process": Calls(6, 10, 20, created=(2, 10, 20), stocked=(10, 20), paused=10),
        "docker": Calls(6, 5, 10, created=(2, 4, 5), stocked=(5, 10), paused=6),
    },
    docker_runs=3,
    parts=10,
    quick=True,
)


def case(driver: str, rate: float) -> str:
    return f"{driver}, {rate:g}/s"
