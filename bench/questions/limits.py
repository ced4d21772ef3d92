"""CPU per call with a token, a limit of the function and one of the token, beside a call without any.

And what a decision alone takes.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from bench.contenders.all import Field
from bench.contenders.base import Running, ready
from bench.contenders.router import NAME, SLOTS, routers
from bench.feed_stub import FixedFunction
from bench.figures import Result, Row
from bench.measure import steady
from bench.plan import Plan
from bench.request import HEADERS
from plat.feed import Route
from plat.leasing import Buckets
from router.limits.limiter import Limiter

UPSTREAM = "t90"
RATE, CONNECTIONS = 5120.0, 64
PAIRS = 12
"""In each repeat: what is looked for is less than what one run differs from the next by."""
LIMIT = 20_000.0
"""Calls a second: never reached, always counted."""

TOKEN = "plat_a-token-of-the-bench-0123456789abcdef"
WITHOUT, WITH = "public, without limits", "token, limit of the function, limit of the token"
HOW = f"""
One router with two functions at the same upstream: a public one without limits, and one that needs a token
and has a `rate` and a `token_rate`, neither of which is reached. Called in turn at {RATE:.0f} calls a
second, in pairs, each begun by the other one; the ratio is of the two of a pair, and many short pairs tell
more than a few long ones. With a token a request has a header more, and with limits an answer has four. What
is compiled is measured without (`cpu`): twice as many pairs tell more than half as many of each build.

A decision alone: one bucket, asked again and again without sockets; its tokens are leased from a store in
the same process, whose work counts too.
"""

ALONE = "a decision alone, in the process"
DECISIONS, BETWEEN_LEASES = 500_000, 1000
ALONE_RATE = 1e9


class Kind(NamedTuple):
    case: str
    function: str
    headers: Mapping[str, str]


KINDS = (
    Kind(WITHOUT, "plain", HEADERS),
    Kind(WITH, "limited", {**HEADERS, "Authorization": f"Bearer {TOKEN}"}),
)


def ask(field: Field, plan: Plan) -> Result:
    result = Result("limits", HOW)
    result.not_measured = ["limits in Redis", "`max_in_flight`", "JSON Web Tokens", "many tokens"]
    with _router(field) as plat:
        pairs = 1 if plan.quick else PAIRS
        seconds = plan.run_s("limits", len(KINDS) * pairs, before_s=0.0)
        for kind in KINDS:
            result.row(kind.case, NAME)
        for number in range(-1, plan.repeats * pairs):
            into = result if number >= 0 else Result("", "")  # the first is to get warm
            _pair(field, plat, seconds, into, KINDS if number % 2 else KINDS[::-1])
    for _ in range(plan.repeats):
        result.row(ALONE, NAME).add(decisions_per_s=DECISIONS / decide(DECISIONS))
    return result


def decide(decisions: int) -> float:
    """Seconds for so many. Raises RuntimeError if one does not admit."""
    limiter, store = Limiter(), Buckets(float("-inf"))
    route = Route("f", 1, False, "public", 60.0, ALONE_RATE, int(ALONE_RATE), ())
    bucket = limiter.of_function(route, time.monotonic())
    limiter.wants(bucket, 0.0)
    bucket.waiters.extend([_Nobody()] * 2 * BETWEEN_LEASES)  # how fast calls come it does not know yet
    admitted = 0
    began = time.perf_counter()
    for number in range(decisions // BETWEEN_LEASES):
        now = time.monotonic()
        if limiter.wanting:
            _lease(limiter, store, number + 1, now)
        admitted += sum(bucket.take(now) == 0 for _ in range(BETWEEN_LEASES))
    took = time.perf_counter() - began
    if admitted != decisions:
        raise RuntimeError(f"{decisions - admitted} of {decisions} decisions did not admit")
    return took


def _lease(limiter: Limiter, store: Buckets, number: int, now: float) -> None:
    """As `router.limits.leases` does it, in no time."""
    buckets = list(limiter.wanting.values())
    limiter.wanting.clear()
    answers = store.lease("router", number, [bucket.ask(now, 0.0) for bucket in buckets], now)
    for bucket, answer in zip(buckets, answers, strict=True):
        bucket.settle(answer, now, now)
        bucket.waiters.clear()


class _Nobody:
    def resume(self, now: float) -> None:
        """It is never resumed."""


@contextmanager
def _router(field: Field) -> Iterator[Running]:
    address = str(field.upstreams[UPSTREAM])
    functions = [
        FixedFunction("plain", address, SLOTS),
        FixedFunction("limited", address, SLOTS, rate=LIMIT, burst=int(LIMIT), token_rate=LIMIT),
    ]
    with routers(field.folder / "limits", functions, token=TOKEN) as (plat, process, log):
        yield ready(plat, ["plain"], process, log)


def _pair(field: Field, plat: Running, seconds: float, result: Result, kinds: tuple[Kind, ...]) -> None:
    cpu: dict[str, float] = {}
    for kind in kinds:
        row = result.row(kind.case, NAME)
        _run(field, plat, kind, seconds, row)
        cpu[kind.case] = row.figures["cpu_us"][-1]
    result.row(WITH, NAME).add(ratio=cpu[WITH] / cpu[WITHOUT])


def _run(field: Field, plat: Running, kind: Kind, seconds: float, row: Row) -> None:
    steady(
        plat,
        kind.function,
        row,
        field.folder,
        rate=RATE,
        connections=CONNECTIONS,
        seconds=seconds,
        headers=kind.headers,
    )
