"""Where the time of a cold start from a warm instance goes, step by step."""

import json
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.cold_plan import DISCARDED, MEMORY_MB
from bench.figures import Result
from bench.many import copy_function, names
from bench.marked import Mark
from bench.platform import platform
from bench.processes import free_port, python, running, until
from bench.request import path_of
from bench.workload import LoadFunction

HOW = """
Process driver. Services that note the monotonic time at each step (it costs some microseconds a step) and a
handler that answers with its own; one client, one call after the other, each to a function that nobody has
called. Medians, in the order of the steps; they add up to nearly the median of the whole call.
"""
CASE = "process, warm, 2/s"
GAP_S = 0.5
STOCK_S = 2.0
TEMPLATE = "timed"
CODE = """
import time

IMPORTED = time.monotonic()


def handler(event, context):
    return {"imported": IMPORTED, "called": time.monotonic()}
"""

SENT, IMPORTED, CALLED, ANSWERED = "sent", "imported", "called", "answered"

PARTS = (
    ("client to router, and its look-up", SENT, "call waits"),
    ("demand over the feed", "call waits", "demand heard"),
    ("decide and dispatch", "demand heard", "load of a warm one"),
    ("place", "load of a warm one", "place done"),
    ("load: order to the instance, import", "place done", IMPORTED),
    ("the instance tells the router that it is ready", IMPORTED, "loaded"),
    ("request to the handler", "loaded", CALLED),
    ("answer to the client", CALLED, ANSWERED),
)
"""What it is called, and the first marks of its beginning and end."""

WHOLE = "the whole call"


class Timed(NamedTuple):
    """One call, in monotonic seconds."""

    sent: float
    imported: float
    called: float
    answered: float


def ask(folder: Path, count: int) -> Result:
    result = Result("cold_parts", HOW, not_measured=["containers", "several routers"])
    folder.mkdir()
    calls, marks = _measure(folder, count)
    for name, values in parts_ms(calls, marks).items():
        result.row(CASE, name).add(p50_ms=statistics.median(values), count=len(values))
    return result


def parts_ms(calls: Sequence[Timed], marks: Sequence[Mark]) -> dict[str, list[float]]:
    """Milliseconds of each part and each call; a call that lacks a mark lacks the parts beside it."""
    found: dict[str, list[float]] = {name: [] for name, _, _ in PARTS}
    found[WHOLE] = [(each.answered - each.sent) * 1000 for each in calls]
    for call in calls:
        first = _first(call, marks)
        for name, begin, end in PARTS:
            if begin in first and end in first:
                found[name].append((first[end] - first[begin]) * 1000)
    return {name: values for name, values in found.items() if values}


def _first(call: Timed, marks: Sequence[Mark]) -> dict[str, float]:
    """The first mark of each step within the call."""
    first = {SENT: call.sent, IMPORTED: call.imported, CALLED: call.called, ANSWERED: call.answered}
    for step, at in marks:
        if call.sent <= at <= call.answered:
            first.setdefault(step, at)
    return first


def _measure(folder: Path, count: int) -> tuple[list[Timed], list[Mark]]:
    called = names(TEMPLATE, count + DISCARDED)
    template = LoadFunction(TEMPLATE, CODE, {"idle_s": 3600, "pause_after_s": 3600}, MEMORY_MB)
    with platform(folder, [template], settings={"PLAT_WARM": "0"}) as plat:
        variables = {**plat.variables, "PLAT_WARM": "2", "PLAT_PORT": str(free_port())}
    copy_function(plat.database, TEMPLATE, called)
    with _marked(folder, variables):
        time.sleep(STOCK_S)
        calls = list(_call(int(variables["PLAT_PORT"]), called))
    marks = [
        (step, at)
        for service in ("core", "router")
        for step, at in json.loads((folder / f"{service}.json").read_text())
    ]
    return calls[DISCARDED:], sorted(marks, key=lambda mark: mark[1])


@contextmanager
def _marked(folder: Path, variables: dict[str, str]) -> Iterator[None]:
    """Core and router, each a process with its marks."""

    def command(service: str) -> list[str]:
        return python("bench.marked", service, str(folder / f"{service}.json"))

    logs = {service: folder / f"{service}.log" for service in ("core", "router")}
    with (
        running(command("core"), logs["core"], variables),
        running(command("router"), logs["router"], variables) as router,
    ):
        until(lambda: _listens(int(variables["PLAT_PORT"])), router, logs["router"], "the router")
        yield


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _call(port: int, called: Sequence[str]) -> Iterator[Timed]:
    """Raises RuntimeError for an answer that is not 200."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name in called:
            time.sleep(GAP_S)
            head = f"POST {path_of(name)} HTTP/1.1\r\nHost: bench\r\nContent-Length: 2\r\n\r\n{{}}"
            sent = time.monotonic()
            client.sendall(head.encode())
            answer = client.recv(65536)
            answered = time.monotonic()
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(answer.decode(errors="replace"))
            said = json.loads(answer.partition(b"\r\n\r\n")[2])
            yield Timed(sent, said[IMPORTED], said[CALLED], answered)
