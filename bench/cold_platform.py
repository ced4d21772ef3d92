"""A platform with hundreds of functions for cold starts, and what its metrics say of them."""

import re
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.cold_plan import DISCARDED, MEMORY_MB, Calls
from bench.many import copy_function, names
from bench.platform import Platform, platform
from bench.workload import LoadFunction

COLD, IMPORTING, PAUSING, HOT = "cold", "importing", "pausing", "hot"

_ANSWER = "def handler(event, context):\n    return {'message': 'Hello'}\n"
_FOREVER: dict[str, float] = {"idle_s": 3600, "pause_after_s": 3600}

TEMPLATES = (
    LoadFunction(COLD, _ANSWER, _FOREVER, MEMORY_MB),
    LoadFunction(IMPORTING, f"import json\nimport urllib.request\n\n\n{_ANSWER}", _FOREVER, MEMORY_MB),
    LoadFunction(PAUSING, _ANSWER, {"idle_s": 3600, "pause_after_s": 0.3}, MEMORY_MB),
    LoadFunction(HOT, _ANSWER, {**_FOREVER, "min": 1}, MEMORY_MB),
)

SETTLE_S = 120.0
PAUSE_S = 30.0
STEP_S = 0.05
_INSTANCES = re.compile(
    r'^plat_instances\{(?=.*function="([^"]*)")(?=.*state="(\w+)").*\} (\S+)$', re.MULTILINE
)
_STARTS = re.compile(r'^plat_cold_start_seconds_count\{(?=.*kind="(\w+)").*\} (\S+)$', re.MULTILINE)


class Supply:
    """Functions that nobody has called yet."""

    def __init__(self, calls: Calls) -> None:
        self.counts = {
            COLD: calls.cold(),
            IMPORTING: calls.imports + DISCARDED,
            PAUSING: calls.paused,
        }
        self._left = {template: iter(names(template, count)) for template, count in self.counts.items()}

    def take(self, template: str, count: int) -> list[str]:
        left = self._left[template]
        return [next(left) for _ in range(count)]


def prepare(folder: Path, supply: Supply) -> None:
    """The functions, in the database of a platform that is not running."""
    folder.mkdir()
    with platform(folder, TEMPLATES, settings={"PLAT_WARM": "0"}) as plat:
        database = plat.database
    for template, count in supply.counts.items():
        copy_function(database, template, names(template, count))


@contextmanager
def prepared(folder: Path, driver: str, settings: Mapping[str, str]) -> Iterator[Platform]:
    """A platform on a folder that was prepared, its stock filled."""
    with platform(folder, driver=driver, settings=settings) as plat:
        wait_for_stock(plat)
        yield plat


def metrics(plat: Platform) -> str:
    with urllib.request.urlopen(f"{plat.admin_url}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


def instances(text: str, prefix: str, state: str) -> int:
    """Of functions whose name begins so; "" has the warm ones."""
    found = ((name, is_in, float(count)) for name, is_in, count in _INSTANCES.findall(text))
    return int(sum(count for name, is_in, count in found if is_in == state and name.startswith(prefix)))


def starts(text: str) -> dict[str, int]:
    """So far, by kind: `warm`, `start`, `resume`."""
    counts: dict[str, int] = {}
    for kind, count in _STARTS.findall(text):
        counts[kind] = counts.get(kind, 0) + int(float(count))
    return counts


def wait_for_stock(plat: Platform) -> None:
    """Raises RuntimeError if it is not full in time."""
    target = int(plat.variables.get("PLAT_WARM", "2"))
    _wait(plat, lambda text: instances(text, "", "warm") >= target, f"{target} warm instances")


def wait_for_paused(plat: Platform, count: int) -> int:
    """How many are: one that the engine once refused to pause stays awake for good."""
    deadline = time.monotonic() + PAUSE_S
    while (paused := instances(metrics(plat), PAUSING, "paused")) < count and time.monotonic() < deadline:
        time.sleep(STEP_S)
    return paused


def _wait(plat: Platform, holds: Callable[[str], bool], what: str) -> None:
    deadline = time.monotonic() + SETTLE_S
    while not holds(metrics(plat)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"There are not {what} after {SETTLE_S:g} s.")
        time.sleep(STEP_S)
