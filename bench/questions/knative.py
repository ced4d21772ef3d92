"""Knative's own pass bars on one machine: steady, from zero, redeployed under load, scaled down under load.

After test/performance in https://github.com/knative/serving (dataplane-probe, load-test, rollout-probe).
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from bench.cold_platform import instances, metrics
from bench.figures import Result, Row
from bench.openloop import Generator, generator
from bench.platform import Platform, deploy, platform
from bench.request import SMALL_BYTES, path_of
from bench.schedule import Order, Outcome
from bench.workload import LoadFunction

SLEEP_MS = 100.0
ASYNC = """
import asyncio


async def handler(event, context):
    await asyncio.sleep(0.1)
    return EDITION
"""
BLOCKING = """
import time


def handler(event, context):
    time.sleep(0.1)
    return EDITION
"""

STEADY, RAMP, REDEPLOY, DOWN = "steady", "from zero, in three steps", "redeploy", "scale-down"
MANY_RATE, ONE_RATE = 400.0, 60.0
RAMP_RATES = {"many": (100.0, 200.0, 300.0), "one": (20.0, 40.0, 60.0)}
"""Two cores serve client, router, pool and instances; one call at a time needs an instance for every ten."""

HOW = f"""
Process driver. A function that sleeps {SLEEP_MS:.0f} ms, called in an open loop; latency counts from when a
call was meant to be sent. Asynchronous with concurrency 20 and at most 10 instances, at {MANY_RATE:.0f}
calls a second; and blocking with concurrency 1 and at most 20 instances, at {ONE_RATE:.0f}. Knative's
rates, 1,000 to 3,000 a second, are of a cluster; these leave two cores room for client, router and
instances. Steady: after a start that does not count. From zero: no instance, then three rates, one after
the other. Redeploy: a new version goes live in the middle. Scale-down: the load falls to a tenth, with
idle_s = 1, and instances end while calls come in. What is added to the {SLEEP_MS:.0f} ms is judged by its
p95, and every call must be answered 200.
"""
NAMES = {"many": "async, concurrency 20", "one": "blocking, concurrency 1"}
GRACE_S = 30.0
CONNECTIONS = 128
ZERO_S = 60.0
LIVING = ("starting", "loading", "ready", "paused", "draining")


class Lengths(Struct, frozen=True):
    """Seconds."""

    steady: float
    step: float
    redeploy: float
    down: float


FULL = Lengths(steady=6, step=3, redeploy=8, down=5)
QUICK = Lengths(steady=1.5, step=0.7, redeploy=3.5, down=1.5)


def function(kind: str, edition: int) -> LoadFunction:
    """`many` or `one`; another edition is another version."""
    if kind == "many":
        scale: dict[str, float] = {"concurrency": 20, "max": 10, "idle_s": 1}
        return LoadFunction(kind, ASYNC.replace("EDITION", str(edition)), scale, 64)
    scale = {"concurrency": 1, "max": 20, "idle_s": 1}
    return LoadFunction(kind, BLOCKING.replace("EDITION", str(edition)), scale, 64)


def ask(folder: Path, lengths: Lengths) -> Result:
    result = Result("knative", HOW, not_measured=["containers", "several machines", "rates of a cluster"])
    folder.mkdir()
    kinds = {"many": MANY_RATE, "one": ONE_RATE}
    with platform(folder, [function(kind, 1) for kind in kinds]) as plat, generator() as source:
        for kind, rate in kinds.items():
            _Bars(plat, source, kind, rate, lengths, result).measure()
    return result


class _Bars:
    """All bars of one function."""

    def __init__(
        self, plat: Platform, source: Generator, kind: str, rate: float, lengths: Lengths, result: Result
    ) -> None:
        self._plat = plat
        self._source = source
        self._kind = kind
        self._rate = rate
        self._lengths = lengths
        self._result = result

    def measure(self) -> None:
        self._wait_for_zero()
        self._note(RAMP, *(self._run(rate, self._lengths.step) for rate in RAMP_RATES[self._kind]))
        self._note(STEADY, self._run(self._rate, self._lengths.steady, settle_s=1.0))
        with self._meanwhile(self._redeploy, after_s=1.5):
            redeployed = self._run(self._rate, self._lengths.redeploy, settle_s=1.0)
        self._note(REDEPLOY, redeployed)
        self._note(DOWN, self._run(self._rate / 10, self._lengths.down))

    def _redeploy(self) -> None:
        deploy(self._plat, function(self._kind, 2))

    @contextmanager
    def _meanwhile(self, do: Callable[[], None], after_s: float) -> Iterator[None]:
        """Raises what `do` raises, at the end."""
        failures: list[BaseException] = []

        def later() -> None:
            time.sleep(after_s)
            try:
                do()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=later, name="meanwhile")
        thread.start()
        yield
        thread.join()
        if failures:
            raise failures[0]

    def _wait_for_zero(self) -> None:
        """Raises RuntimeError if instances are left."""
        deadline = time.monotonic() + ZERO_S
        while sum(instances(metrics(self._plat), self._kind, state) for state in LIVING):
            if time.monotonic() > deadline:
                raise RuntimeError(f'"{self._kind}" has instances after {ZERO_S:g} s without a call.')
            time.sleep(0.1)

    def _run(self, rate: float, seconds: float, settle_s: float = 0.0) -> Outcome:
        target = path_of(self._kind)
        return self._source.perform(
            Order(
                "127.0.0.1",
                self._plat.port,
                target,
                rate,
                seconds,
                CONNECTIONS,
                SMALL_BYTES,
                grace_s=GRACE_S,
                settle_s=settle_s,
            )
        )

    def _note(self, case: str, *outcomes: Outcome) -> None:
        note(self._result.row(case, NAMES[self._kind]), outcomes)


def note(row: Row, outcomes: Sequence[Outcome]) -> None:
    """Of several runs the worst percentile counts, and all failures."""
    planned = sum(each.planned for each in outcomes)
    failures = planned - sum(each.statuses.get("200", 0) for each in outcomes)
    row.add(count=planned, failures=failures)
    for name in ("p50", "p95", "p99", "max"):
        worst = max(each.latency_ms[name] for each in outcomes)
        row.add(**{f"{name}_added_ms": worst - SLEEP_MS})
    if failures:
        statuses = [each.statuses for each in outcomes]
        row.note(f"{failures} of {planned} calls failed: {statuses}")
    if not all(each.kept for each in outcomes):
        row.note("the generator was late")
