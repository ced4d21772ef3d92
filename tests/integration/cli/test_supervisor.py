"""A service with real processes: its deaths, its restarts, its end."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cli.restart import DEATHS_AT_START
from cli.supervisor import Command, Service, death_of
from plat.tasks import spawn
from tests.integration.cli.waiting import is_alive, until

FOREVER = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\n"
    "while True: signal.pause()"
)


def command(code: str, *descriptors: int) -> Command:
    return Command("service", (sys.executable, "-c", code), dict(os.environ), descriptors)


@asynccontextmanager
async def running(code: str, *descriptors: int) -> AsyncIterator[tuple[Service, asyncio.Task[str | None]]]:
    service = Service(command(code, *descriptors))
    run = spawn(service.run(), "service")
    try:
        yield service, run
    finally:
        service.kill()
        await run


def deaths(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.__dict__["plat_fields"] for record in caplog.records if record.message == "service died"]


async def test_one_that_is_killed_is_started_again_and_its_death_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running(FOREVER) as (service, _):
        for restarts in (1, 2):
            await until(lambda: service.pid is not None, "a start")
            assert service.pid is not None
            os.kill(service.pid, signal.SIGKILL)
            await until(partial(_was_restarted, service, restarts), "a restart")
        assert [death["cause"] for death in deaths(caplog)] == ["killed by SIGKILL"] * 2
        assert [death["restart_in_s"] for death in deaths(caplog)] == [0.1, 0.2]


def _was_restarted(service: Service, times: int) -> bool:
    return service.restarts == times and service.pid is not None


async def test_what_it_writes_is_passed_on_and_its_last_line_is_in_the_log(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    code = "import sys; print('out', flush=True); print('first\\nlast words', file=sys.stderr); sys.exit(3)"
    async with running(code) as (service, _):
        await until(lambda: service.restarts, "a death")
    assert deaths(caplog)[0]["cause"] == "exited with status 3"
    assert deaths(caplog)[0]["last_line"] == "last words"
    assert capfd.readouterr().err.startswith("out\nfirst\nlast words\n")


async def test_one_that_cannot_start_is_given_up(
    capfd: pytest.CaptureFixture[str],
) -> None:
    line = json.dumps({"message": "core failed", "detail": "The database is damaged."})
    async with running(f"import sys; print({line!r}, file=sys.stderr); sys.exit(1)") as (service, run):
        assert await asyncio.wait_for(run, 30) == "service does not start: The database is damaged."
        assert service.restarts == DEATHS_AT_START - 1


async def test_a_program_that_is_not_there_is_given_up_too() -> None:
    service = Service(Command("service", ("/nowhere/program",), {}))
    reason = await asyncio.wait_for(service.run(), 30)
    assert reason is not None
    assert "/nowhere/program: No such file or directory" in reason


async def test_one_that_was_ready_is_never_given_up(capfd: pytest.CaptureFixture[str]) -> None:
    async with running("raise SystemExit(1)") as (service, run):
        service.confirm_ready()
        await until(lambda: service.restarts > DEATHS_AT_START, "more deaths than at a start")
        assert not run.done()


async def test_stop_lets_it_end_by_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mark = tmp_path / "ended"
    code = (
        "import signal, sys, pathlib\n"
        f"def end(*_): pathlib.Path({str(mark)!r}).touch(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True)\n"
        "while True: signal.pause()"
    )
    async with running(code) as (service, run):
        await _said_up(capfd)
        await service.stop(30)
        assert (await run, mark.exists(), service.ended_well, service.pid) == (None, True, True, None)


async def test_one_that_does_not_listen_is_killed_with_what_is_in_its_group(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pid"
    code = (
        "import subprocess, sys, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(path)!r}).write_text(str(child.pid))\n" + STUBBORN
    )
    async with running(code) as (service, run):
        await _said_up(capfd)
        child = int(path.read_text())
        await service.stop(0.1)
        assert await run is None
        assert not service.ended_well
    await until(lambda: not is_alive(child), "the end of the child")
    assert "service did not stop in time: killed" in [record.message for record in caplog.records]


async def test_stop_during_the_wait_for_a_restart_starts_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    async with running("raise SystemExit(1)") as (service, run):
        service.confirm_ready()
        await until(lambda: service.restarts == 4, "a longer wait")
        await service.stop(30)
        assert (await run, service.pid, service.restarts) == (None, None, 4)


@pytest.mark.parametrize("turns", range(8))
async def test_stop_while_it_is_being_started_leaves_no_process(
    turns: int, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running(FOREVER) as (service, run):
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(service.stop(30), 30)
        assert (await run, service.pid) == (None, None)


async def test_ctrl_c_of_the_terminal_does_not_reach_it(capfd: pytest.CaptureFixture[str]) -> None:
    async with running(FOREVER) as (service, _):
        await _said_up(capfd)
        assert service.pid is not None
        assert os.getsid(service.pid) == service.pid != os.getsid(0)


async def test_descriptors_are_handed_on(capfd: pytest.CaptureFixture[str]) -> None:
    read_end, write_end = os.pipe()
    async with running(f"import os; os.write({write_end}, b'hello'); {FOREVER}", write_end):
        assert await asyncio.to_thread(os.read, read_end, 100) == b"hello"
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0, "exited with status 0"),
        (3, "exited with status 3"),
        (-9, "killed by SIGKILL"),
        (-11, "killed by SIGSEGV"),
    ],
)
def test_the_cause_of_death_in_words(status: int, said: str) -> None:
    assert death_of(status) == said


async def _said_up(capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []

    def said() -> bool:
        seen.append(capfd.readouterr().err)
        return "up\n" in "".join(seen)

    await until(said, "its first word")


@pytest.fixture(autouse=True)
def log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
