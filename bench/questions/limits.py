"""CPU per call with a token, a limit of the function and one of the token, beside a call without any."""

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
"""


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
    return result


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
