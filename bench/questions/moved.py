"""A slot that moves between routers: how much longer a call takes whose only slot another router holds."""

import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.cold_plan import DISCARDED, MEMORY_MB
from bench.figures import Result
from bench.platform import PLAT, platform
from bench.processes import END_S, answers, free_port, running, until
from bench.request import path_of
from bench.schedule import percentile
from bench.workload import ANSWERS, LoadFunction

FUNCTION = LoadFunction("moved", ANSWERS, {"min": 1, "max": 1, "concurrency": 1}, MEMORY_MB)
HOW = """
Process driver, two routers with a port each, and one function that may have one instance with one slot. One
client, one call after the other. Each router has two calls in its turn. At the first the slot is elsewhere:
the pool has the other router give it back and grants it anew; at the second it is here. Added: by how much
the first took longer than the second, of each turn. One behind the other, the first also waits until its
router may speak of the same version again (every 5 ms at most).
"""
AT_ONCE, SELDOM = "one call behind the other", "50/s"
CASES = {AT_ONCE: 0.0, SELDOM: 0.02, "2/s": 0.5}
"""Seconds before each call."""
HERE, ELSEWHERE = "the slot is here", "the slot is elsewhere"


def ask(folder: Path, turns: int) -> Result:
    result = Result("moved", HOW, not_measured=["containers", "more than two routers"])
    folder.mkdir()
    with _two_routers(folder) as routers:
        for case, gap_s in CASES.items():
            taken = [_turn(routers[number % 2], gap_s) for number in range(DISCARDED + turns)][DISCARDED:]
            for name, values in zip((ELSEWHERE, HERE), zip(*taken, strict=True), strict=True):
                p99_ms = percentile(sorted(values), 0.99)
                result.row(case, name).add(p50_ms=statistics.median(values), p99_ms=p99_ms, count=turns)
            added_ms = statistics.median(elsewhere - here for elsewhere, here in taken)
            result.row(case, ELSEWHERE).add(p50_added_ms=added_ms)
    return result


def _turn(router: socket.socket, gap_s: float) -> tuple[float, float]:
    """Milliseconds of both calls."""
    return _call(router, gap_s), _call(router, gap_s)


def _call(router: socket.socket, gap_s: float) -> float:
    """Milliseconds. Raises RuntimeError for an answer that is not 200."""
    request = (
        f"POST {path_of(FUNCTION.name)} HTTP/1.1\r\nHost: bench\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    )
    time.sleep(gap_s)
    sent = time.monotonic()
    router.sendall(request)
    answer = router.recv(65536)
    took_ms = (time.monotonic() - sent) * 1000
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(answer.decode(errors="replace"))
    return took_ms


@contextmanager
def _two_routers(folder: Path) -> Iterator[list[socket.socket]]:
    """A connection to each."""
    port, log = free_port(), folder / "router-1.log"
    command = [PLAT, "router", "--index", "1"]
    with platform(folder, [FUNCTION]) as plat, ExitStack() as stack:
        second = stack.enter_context(running(command, log, {**plat.variables, "PLAT_PORT": str(port)}))
        url = f"http://127.0.0.1:{port}{path_of(FUNCTION.name)}"
        until(lambda: answers(url), second, log, "the second router")
        routers = [
            stack.enter_context(socket.create_connection(("127.0.0.1", each), END_S))
            for each in (plat.port, port)
        ]
        for router in routers:
            router.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield routers
