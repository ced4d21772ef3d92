"""What `make load` deploys and calls: functions, their popularity, and the names of the scenarios."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

WARM, DIRECT = "warm", "direct"
COLD, START = "cold", "start"
MIXED, BURST = "mixed", "burst"

COLD_FUNCTIONS = ("cold-1", "cold-2")
MIXED_FUNCTIONS = tuple(f"mixed-{number}" for number in range(1, 13))
BURST_CALLS = 24
BURST_EVERY_S = 2.0
ZIPF_EXPONENT = 1.1

ANSWERS = "def handler(event, context):\n    return {'message': 'Hello'}\n"
WORKS = "import time\n\n\ndef handler(event, context):\n    time.sleep(0.05)\n    return 'done'\n"


class LoadFunction(NamedTuple):
    name: str
    code: str
    scale: dict[str, float]
    memory_mb: int = 128

    def toml(self) -> str:
        lines = [
            f'name = "{self.name}"',
            "[scale]",
            *(f"{key} = {value}" for key, value in self.scale.items()),
        ]
        lines += ["[limits]", f"memory_mb = {self.memory_mb}"]
        return "\n".join([*lines, "[access]", 'auth = "public"', ""])


FUNCTIONS = (
    LoadFunction("warm", ANSWERS, {"min": 4, "max": 4}),
    LoadFunction("burst", WORKS, {"concurrency": 4, "max": 6, "idle_s": 1}),
    *(LoadFunction(name, ANSWERS, {"max": 1, "idle_s": 0.3}) for name in COLD_FUNCTIONS),
    *(LoadFunction(name, ANSWERS, {"concurrency": 4, "max": 2}) for name in MIXED_FUNCTIONS),
)


def zipf(count: int, exponent: float = ZIPF_EXPONENT) -> list[float]:
    """The cumulated shares of calls of the most popular, the second, … (Zipf's law); the last is 1."""
    weights = [1 / rank**exponent for rank in range(1, count + 1)]
    total = sum(weights)
    return [min(each / total, 1.0) for each in accumulate(weights[:-1])] + [1.0]


def pick(names: Sequence[str], shares: Sequence[float], draw: float) -> str:
    """The name that a draw from [0, 1) falls on."""
    return next(name for name, share in zip(names, shares, strict=True) if draw < share)
