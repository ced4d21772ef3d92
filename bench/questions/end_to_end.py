"""A no-op function through router and runtime at one connection, and the same through nginx."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.contenders.all import Field
from bench.contenders.base import Running
from bench.contenders.nginx import NGINX
from bench.contenders.router import routers
from bench.feed_stub import FixedFunction
from bench.figures import Result
from bench.instances import RUNTIMES, instance, missing
from bench.measure import closed, interleave
from bench.plan import WARM_UP_S, Plan
from bench.request import Upstreams
from plat.address import Address

HOW = """
Closed loop from wrk at one connection: client, proxy, unix socket, runtime, and back. The function has
concurrency 1 and does nothing. CPU is the proxy's own.
"""


def ask(field: Field, plan: Plan) -> Result:
    result = Result("end_to_end", HOW, not_measured=["containers", "more than one instance"])
    result.skipped = {f"{name} runtime": reason for name in RUNTIMES if (reason := missing(name))}
    names = [name for name in RUNTIMES if f"{name} runtime" not in result.skipped]
    seconds = plan.run_s("end_to_end", 2 * len(names))
    with _in_front(field.folder / "end-to-end", names) as contenders:
        for name in names:
            _one(field, plan, contenders, name, seconds, result)
    return result


@contextmanager
def _in_front(folder: Path, names: list[str]) -> Iterator[list[Running]]:
    """Router and nginx in front of instances of their own: two clients would be one too many for one slot."""
    folder.mkdir()
    with ExitStack() as stack:

        def upstreams(owner: str) -> Upstreams:
            started = {
                name: stack.enter_context(instance(folder / f"{owner}-{name}", name)) for name in names
            }
            return {name.lower(): Address(path=str(each.socket)) for name, each in started.items()}

        functions = [FixedFunction(name, str(at), 1) for name, at in upstreams("router").items()]
        plat, _, _ = stack.enter_context(routers(folder / "router", functions))
        yield [plat, stack.enter_context(NGINX.start(folder, upstreams(NGINX.name)))]


def _one(
    field: Field, plan: Plan, contenders: list[Running], runtime: str, seconds: float, result: Result
) -> None:
    function, case = runtime.lower(), f"{runtime} no-op, c = 1"

    def run(contender: Running) -> None:
        row = result.row(case, contender.name)
        closed(contender, function, row, field.folder, connections=1, seconds=seconds)

    for contender in contenders:
        closed(
            contender, function, Result("", "").row("", ""), field.folder, connections=1, seconds=WARM_UP_S
        )
    interleave(contenders, plan.repeats, run)
