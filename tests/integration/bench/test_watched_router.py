"""The watched router as a process: it answers calls, tells what its collector did, and ends when asked to."""

from pathlib import Path

import pytest

from bench.collector import COLLECT, READ, reported
from bench.contenders.base import ready
from bench.contenders.router import routers
from bench.feed_stub import FixedFunction
from bench.processes import accepts, end, python, running, until
from bench.watched_router import VARIANTS


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_a_variant_answers_and_reports(variant: str, tmp_path: Path) -> None:
    backend, report, log = tmp_path / "b.sock", tmp_path / "r.sock", tmp_path / "backend.log"
    command = python("bench.watched_router", "--variant", variant, "--report", str(report))
    with running(python("bench.slow_backend", str(backend), "0"), log) as slow:
        until(lambda: accepts(backend), slow, log, "the backend")
        functions = [FixedFunction("t90", f"unix:{backend}", 4)]
        with routers(tmp_path / "router", functions, command=command) as (plat, process, router_log):
            until(lambda: accepts(report), process, router_log, "the report")
            ready(plat, ["t90"], process, router_log)
            reported(report, READ)
            collected = reported(report, COLLECT)
            assert (collected.full, collected.longest_ms > 0) == (1, True)
            assert reported(report, READ).full == 0
            end(process)
            assert process.returncode == 0
