"""CPU per call with a token, a limit of the function and one of the token, beside a call without any."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.contenders.all import Field
from bench.contenders.base import Running, ready
from bench.contenders.router import COMMAND, COMPILED_NAME, NAME, SLOTS, command_in, routers
from bench.feed_stub import FixedFunction
from bench.figures import Result, Row
from bench.measure import steady
from bench.plan import Plan
from bench.request import HEADERS

UPSTREAM = "t90"
RATE, CONNECTIONS = 5120.0, 64
PAIRS = 5
"""In each repeat: what is looked for is less than what one run differs from the next by."""
LIMIT = 20_000.0
"""Calls a second: never reached, always counted."""

TOKEN = "plat_a-token-of-the-bench-0123456789abcdef"
WITHOUT, WITH = "public, without limits", "token, limit of the function, limit of the token"
HOW = f"""
One router with two functions at the same upstream: a public one without limits, and one that needs a token
and has a `rate` and a `token_rate`, neither of which is reached. Called in turn at {RATE:.0f} calls a
second, in pairs, each begun by the other one; the ratio is of the two of a pair, and many short pairs tell
more than a few long ones. With a token a request has a header more, and with limits an answer has four.
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
    with ExitStack() as stack:
        builds = [stack.enter_context(_router(field, name)) for name in _names(field)]
        pairs = 1 if plan.quick else PAIRS
        seconds = plan.run_s("limits", len(KINDS) * len(builds) * pairs, before_s=0.0)
        for kind in KINDS:
            for build in builds:
                result.row(kind.case, build.name)
        for number in range(-1, plan.repeats * pairs):
            for build in builds:
                into = result if number >= 0 else Result("", "")  # the first is to get warm
                _pair(field, build, seconds, into, KINDS if number % 2 else KINDS[::-1])
    return result


def _names(field: Field) -> list[str]:
    return [name for name in (NAME, COMPILED_NAME) if field.get(name) is not None]


@contextmanager
def _router(field: Field, name: str) -> Iterator[Running]:
    folder = field.folder / f"limits-{name.replace(' ', '-')}"
    address = str(field.upstreams[UPSTREAM])
    functions = [
        FixedFunction("plain", address, SLOTS),
        FixedFunction("limited", address, SLOTS, rate=LIMIT, burst=int(LIMIT), token_rate=LIMIT),
    ]
    with routers(folder, functions, command=_command(field, name), token=TOKEN) as (plat, process, log):
        yield ready(plat._replace(name=name), ["plain"], process, log)


def _command(field: Field, name: str) -> tuple[str, ...]:
    """The compiled modules are where that contender has them."""
    return COMMAND if name == NAME else command_in(Path(field.folder, name.replace(" ", "-")))


def _pair(field: Field, build: Running, seconds: float, result: Result, kinds: tuple[Kind, ...]) -> None:
    cpu: dict[str, float] = {}
    for kind in kinds:
        row = result.row(kind.case, build.name)
        _run(field, build, kind, seconds, row)
        cpu[kind.case] = row.figures["cpu_us"][-1]
    result.row(WITH, build.name).add(ratio=cpu[WITH] / cpu[WITHOUT])


def _run(field: Field, build: Running, kind: Kind, seconds: float, row: Row) -> None:
    steady(
        build,
        kind.function,
        row,
        field.folder,
        rate=RATE,
        connections=CONNECTIONS,
        seconds=seconds,
        headers=kind.headers,
    )
