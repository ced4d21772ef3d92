"""What a simulation is told: the machine, the functions' scaling, what starts cost, and which policies hold.

The form of `plat simulate --policy`. Types and bounds only.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from pool.eviction import EvictionPolicy

Seconds = Annotated[float, Meta(ge=0, le=86_400)]


class Policy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every key has a default: that of plat.toml, or what was measured on a machine of two processors."""

    concurrency: Annotated[int, Meta(ge=0, le=1000, description="calls at a time; 0: unlimited")] = 1
    min: Annotated[int, Meta(ge=0, le=1000, description="instances kept when idle")] = 0
    max: Annotated[int, Meta(ge=1, le=1000, description="instances of a function at most")] = 20
    idle_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 60
    pause_after_s: Annotated[float, Meta(ge=0.1, le=86_400)] | None = 30
    memory_mb: Annotated[int, Meta(ge=16, description="of the machine, for instances")] = 16_384
    function_memory_mb: Annotated[int, Meta(ge=1, description="where the trace does not say")] = 128
    cold_s: Seconds = 0.25
    """Where the trace does not say."""
    warm_s: Seconds = 0.005
    resume_s: Seconds = 0.01
    warm: Annotated[int, Meta(ge=0, le=1000, description="warm instances of each size of memory")] = 0
    warm_most: Annotated[int, Meta(ge=0, le=10_000, description="warm instances of all sizes")] = 8
    starts_at_once: Annotated[int, Meta(ge=1, le=1000)] = 4
    """Over all functions, as in the pool with two processors."""
    keep: Literal["fixed", "learned"] = "fixed"
    evict: EvictionPolicy = "greedy-dual"

    def __post_init__(self) -> None:
        if self.min > self.max:
            raise ValueError(f"min = {self.min}: expected at most max, which is {self.max}")
