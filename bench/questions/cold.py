"""Cold starts as the client sees them, rung by rung, beside containers that start without us."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from bench import cold_docker
from bench.cold_plan import (
    API,
    CREATED,
    DISCARDED,
    FAST,
    FREE,
    IMPORTS,
    MEDIUM,
    PAUSED,
    RUN,
    SLOW,
    STOCK,
    STOCKED,
    WARM,
    Calls,
    Plan,
    case,
)
from bench.cold_platform import (
    COLD,
    HOT,
    IMPORTING,
    PAUSING,
    Supply,
    metrics,
    prepare,
    prepared,
    starts,
    wait_for_paused,
    wait_for_stock,
)
from bench.figures import Result, Row
from bench.many import names
from bench.openloop import generator
from bench.platform import Platform
from bench.request import SMALL_BYTES, path_of
from bench.schedule import Order, Outcome, percentile

HOW = f"""
The client's time of a call, from when it was meant to be sent until its last byte came, over connections that
are open; open loop. The client is awake when a call's time comes, and notes when the last byte came before it
looks at it. Hundreds of functions with one artifact, each called for the first time. Free slot: an
instance waits. Paused: it was paused. Warm: a started runtime without a function takes it (PLAT_WARM = 2, the
default, refilled in the background; PLAT_WARM = {STOCK} in the row with the larger stock; where they come
quicker than the stock is refilled, some are started anew, and the share of the warm ones is given). Create +
start: PLAT_WARM = 0; with the process driver that is a fork of a runtime, as it always is. The handlers
import nothing but in the row that says so (json and urllib.request). At 1/s free slot, paused and warm take
turns within each second. docker run: of the same image, a program that only ends, without network, one after
the other; beside it create and start of a container through the engine's API. The first calls of each rung
are discarded. All with {SMALL_BYTES} bytes sent.
"""

IN_TIME = 0.9
"""Of the calls; a case with fewer did not reach its rate."""

GRACE_S = 60.0
CONNECTIONS = 64
CALM_S = 1.0


def ask(folder: Path, plan: Plan, drivers: Sequence[str]) -> Result:
    result = Result("cold", HOW, not_measured=["Node", "handlers with large dependencies", "several routers"])
    for driver in drivers:
        if driver == "docker" and (reason := cold_docker.missing()) is not None:
            result.skipped["docker"] = reason
            continue
        _Driver(folder / driver, driver, plan.calls[driver], result).measure()
        if driver == "docker":
            _without_us(plan.docker_runs, result)
    return result


def _without_us(count: int, result: Result) -> None:
    """In turn, so that what the machine does meanwhile meets both."""
    seconds: dict[str, list[float]] = {RUN: [], API: []}
    ways: dict[str, Callable[[], float]] = {RUN: cold_docker.run_s, API: cold_docker.start_s}
    for number in range(count + 1):
        for name, start in ways.items():
            took_s = start()
            if number:
                seconds[name].append(took_s * 1000)
    for name, took_ms in seconds.items():
        took_ms.sort()
        row = result.row(case("docker", SLOW), name)
        row.add(p50_ms=statistics.median(took_ms), p95_ms=percentile(took_ms, 0.95), count=len(took_ms))
        row.add(p99_ms=percentile(took_ms, 0.99), failures=0)


class _Driver:
    """The three platforms of one driver: the default stock, a larger one, and none."""

    def __init__(self, folder: Path, driver: str, calls: Calls, result: Result) -> None:
        self._folder = folder
        self._driver = driver
        self._calls = calls
        self._result = result
        self._supply = Supply(calls)

    def measure(self) -> None:
        prepare(self._folder, self._supply)
        with ExitStack() as stack:
            self._sources = [stack.enter_context(generator()) for _ in range(3)]
            with prepared(self._folder, self._driver, {}) as plat:
                self._begin(plat, [COLD, IMPORTING, HOT, PAUSING])
                self._in_turn(plat)
                self._one_by_one(plat)
            stocked = dict(zip((MEDIUM, FAST), self._calls.stocked, strict=True))
            self._cold_only(STOCKED, stocked, {"PLAT_WARM": f"{STOCK}", "PLAT_WARM_LIMIT": f"{2 * STOCK}"})
            created = dict(zip((SLOW, MEDIUM, FAST), self._calls.created, strict=True))
            self._cold_only(CREATED, created, {"PLAT_WARM": "0"})

    def _cold_only(self, rung: str, counts: dict[float, int], settings: dict[str, str]) -> None:
        """On a platform of its own: `counts` by rate."""
        if any(counts.values()):
            with prepared(self._folder, self._driver, settings) as plat:
                self._begin(plat, [COLD])
                self._cold(plat, rung, counts.items())

    def _begin(self, plat: Platform, templates: Sequence[str]) -> None:
        """What does not count; and the instances that are to be paused."""
        for template in templates:
            if template == PAUSING:
                called = names(PAUSING, self._calls.paused)
            else:
                called = [HOT] * DISCARDED if template == HOT else self._supply.take(template, DISCARDED)
            self._sources[0].perform(_order(plat, called, MEDIUM))

    def _in_turn(self, plat: Platform) -> None:
        """At one call a second the machine is idle: the rungs share it, but only one of them is cold."""
        count = self._calls.slow
        self._paused(plat, self._result.row(case(self._driver, SLOW), PAUSED))
        self._calm(plat)
        called = {
            FREE: [HOT] * count,
            PAUSED: names(PAUSING, self._calls.paused)[:count],
            WARM: self._supply.take(COLD, count),
        }
        before = starts(metrics(plat))
        with ThreadPoolExecutor(len(called)) as threads:
            running = []
            for source, names_ in zip(self._sources, called.values(), strict=True):
                running.append(threads.submit(source.perform, _order(plat, names_, SLOW)))
                time.sleep(1 / SLOW / len(called))
        for rung, done in zip(called, running, strict=True):
            _add(self._result.row(case(self._driver, SLOW), rung), done.result(), SLOW)
        self._note_share(self._result.row(case(self._driver, SLOW), WARM), before, plat)
        self._calm(plat)
        self._run(plat, IMPORTS, self._supply.take(IMPORTING, self._calls.imports), SLOW)

    def _one_by_one(self, plat: Platform) -> None:
        """The paused ones last: those called before take their time to be paused again."""
        runs = ((MEDIUM, self._calls.medium), (FAST, self._calls.fast))
        for rate, count in ((rate, count) for rate, count in runs if count):
            self._calm(plat)
            self._run(plat, FREE, [HOT] * count, rate)
            self._cold(plat, WARM, [(rate, count)])
            self._paused(plat, self._result.row(case(self._driver, rate), PAUSED))
            self._calm(plat)
            self._run(plat, PAUSED, names(PAUSING, self._calls.paused)[:count], rate)

    def _cold(self, plat: Platform, rung: str, runs: Iterable[tuple[float, int]]) -> None:
        for rate, count in ((rate, count) for rate, count in runs if count):
            self._calm(plat)
            before = starts(metrics(plat))
            self._run(plat, rung, self._supply.take(COLD, count), rate)
            if rung != CREATED:
                self._note_share(self._result.row(case(self._driver, rate), rung), before, plat)

    def _paused(self, plat: Platform, row: Row) -> None:
        if (paused := wait_for_paused(plat, self._calls.paused)) < self._calls.paused:
            row.note(f"{paused} of {self._calls.paused} were paused")

    def _calm(self, plat: Platform) -> None:
        wait_for_stock(plat)
        time.sleep(CALM_S)

    def _run(self, plat: Platform, rung: str, called: Sequence[str], rate: float) -> None:
        outcome = self._sources[0].perform(_order(plat, called, rate))
        _add(self._result.row(case(self._driver, rate), rung), outcome, rate)

    def _note_share(self, row: Row, before: dict[str, int], plat: Platform) -> None:
        after = starts(metrics(plat))
        warm, anew = (after.get(kind, 0) - before.get(kind, 0) for kind in ("warm", "start"))
        row.add(warm_share=warm / max(1, warm + anew))


def _order(plat: Platform, called: Sequence[str], rate: float) -> Order:
    return Order(
        "127.0.0.1",
        plat.port,
        "",
        rate,
        len(called) / rate,
        min(CONNECTIONS, len(called)),
        SMALL_BYTES,
        grace_s=GRACE_S,
        targets=tuple(map(path_of, called)),
    )


def _add(row: Row, outcome: Outcome, rate: float) -> None:
    good, times = outcome.statuses.get("200", 0), outcome.latency_ms
    row.add(p50_ms=times["p50"], p95_ms=times["p95"], p99_ms=times["p99"])
    row.add(
        count=outcome.planned,
        failures=outcome.planned - good,
        reached=outcome.in_time / outcome.planned * rate,
    )
    if good != outcome.planned:
        row.note(f"{outcome.planned - good} of {outcome.planned} calls failed")
    if outcome.in_time < IN_TIME * outcome.planned and outcome.planned > 1 / (1 - IN_TIME):
        row.note(f"{outcome.in_time} of {outcome.planned} were answered while calls came in")
    if not outcome.kept:
        row.note("the generator was late")
