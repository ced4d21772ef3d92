"""`plat up` as a user has it: one command, real services, functions as processes."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import Struct

from tests.integration.cli.waiting import is_alive, processes_with, until

MAIN = [sys.executable, "-m", "cli.main"]


class Home(Struct):
    """A user's home of its own, with one function in it."""

    folder: Path
    environ: dict[str, str]

    @property
    def data(self) -> Path:
        return self.folder / "data" / "plat"

    @property
    def function(self) -> Path:
        return self.folder / "hello"

    def processes(self) -> list[int]:
        """Whatever still runs of this home's platform."""
        return processes_with(str(self.folder))

    def sockets(self) -> list[Path]:
        return list(self.data.rglob("*.sock"))


class Platform(Struct):
    process: Process
    url: str

    async def read_json(self) -> dict[str, object]:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 60)
        read: dict[str, object] = json.loads(line)
        return read


@pytest.fixture
def home(tmp_path: Path) -> Home:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PLAT_")}
    xdg = {f"XDG_{name}_HOME": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "CACHE")}
    home = Home(tmp_path, inherited | xdg)
    home.function.mkdir()
    (home.function / "plat.toml").write_text('name = "hello"\n')
    (home.function / "main.py").write_text("def handler(event, context):\n    return {'hello': event}\n")
    return home


@asynccontextmanager
async def up(home: Home, *flags: str) -> AsyncIterator[Platform]:
    """A platform that answers; whatever a test leaves of it is killed."""
    process = await start(home, "--json", "--driver", "process", *flags)
    try:
        platform = Platform(process, "")
        platform.url = str((await platform.read_json())["url"])
        yield platform
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await until(lambda: not home.processes(), "the end of every process")


async def start(home: Home, *flags: str) -> Process:
    command = [*MAIN, "up", "--port", "0", "--admin-port", "0", *flags]
    log = (home.folder / "up.log").open("ab")
    try:
        return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=log, env=home.environ)
    finally:
        log.close()


async def run(home: Home, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *MAIN, *arguments, stdout=PIPE, stderr=PIPE, env=home.environ
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def child_of(process: Process, name: str) -> int | None:
    """The pid of a service."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in children:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if name.encode() in words:
            return int(pid)
    return None


async def test_from_a_first_start_to_a_call_and_to_nothing_left(home: Home) -> None:
    async with up(home, "--routers", "2", "--deploy", str(home.function)) as platform:
        deployed = await platform.read_json()
        assert (deployed["function"], deployed["version"]) == ("hello", 1)
        curl = f"{deployed['curl']} --silent --fail --data 1"
        process = await asyncio.create_subprocess_shell(curl, stdout=PIPE, env=home.environ)
        assert (await process.communicate())[0] == b'{"hello":1}'
        assert (await run(home, "invoke", "hello", "-d", '"x"'))[:2] == (0, '{"hello":"x"}')
        platform.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(platform.process.wait(), 60) == 0
        assert (home.processes(), home.sockets(), (home.data / "run").exists()) == ([], [], False)
    log = (home.folder / "up.log").read_text()
    assert "Traceback" not in log
    assert all(json.loads(line)["level"] in ("info", "warning") for line in log.splitlines())


async def test_functions_and_token_are_there_after_a_restart(home: Home) -> None:
    async with up(home, "--deploy", str(home.function)) as platform:
        await platform.read_json()
        token = (home.folder / "config" / "plat" / "curl-auth").read_text()
        platform.process.terminate()
        assert await asyncio.wait_for(platform.process.wait(), 60) == 0
    async with up(home):
        assert (home.folder / "config" / "plat" / "curl-auth").read_text() == token
        assert (await run(home, "invoke", "hello", "-d", "2"))[:2] == (0, '{"hello":2}')


@pytest.mark.parametrize("service", ["core", "router"])
async def test_a_service_that_is_killed_comes_back(home: Home, service: str) -> None:
    async with up(home, "--deploy", str(home.function)) as platform:
        await platform.read_json()
        pid = child_of(platform.process, service)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: child_of(platform.process, service) not in (None, pid), "the next one")
        for _ in range(200):  # a router that is away refuses connections until it is back
            code, out, _err = await run(home, "invoke", "hello", "-d", "3")
            if code == 0:
                break
        assert out == '{"hello":3}'
        assert '"cause":"killed by SIGKILL"' in (home.folder / "up.log").read_text()


async def test_nothing_outlives_a_supervisor_that_is_killed(home: Home) -> None:
    async with up(home, "--deploy", str(home.function)) as platform:
        await platform.read_json()
        await run(home, "invoke", "hello")
        assert len(home.processes()) >= 4  # itself, core, router, and an instance
        platform.process.kill()
        await platform.process.wait()
        await until(lambda: not home.processes(), "the end of every process")
    async with up(home):
        assert (await run(home, "invoke", "hello", "-d", "4"))[:2] == (0, '{"hello":4}')


async def test_a_second_ctrl_c_ends_it_at_once_and_leaves_nothing(home: Home) -> None:
    (home.function / "main.py").write_text("import time\ndef handler(event, context):\n    time.sleep(600)\n")
    async with up(home, "--deploy", str(home.function)) as platform:
        await platform.read_json()
        call = asyncio.create_subprocess_exec(
            *MAIN, "invoke", "hello", stdout=PIPE, stderr=PIPE, env=home.environ
        )
        caller = await call
        await until(lambda: len(home.processes()) >= 5, "the call")
        platform.process.send_signal(signal.SIGINT)
        await until(lambda: "router stops" in (home.folder / "up.log").read_text(), "the drain")
        platform.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(platform.process.wait(), 60) == 0
        await asyncio.wait_for(caller.communicate(), 60)
        assert (home.processes(), home.sockets()) == ([], [])


async def test_a_port_in_use_is_one_line(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        code, out, err = await run(home, "up", "--port", port)
    assert (code, out) == (1, "")
    assert err == f"Error: Port {port} is in use: choose another with --port, or stop what uses it.\n"
    assert not home.data.exists()


async def test_a_data_folder_in_use_is_one_line_and_changes_nothing(home: Home) -> None:
    async with up(home) as platform:
        config = (home.folder / "config" / "plat" / "config.toml").read_text()
        code, out, err = await run(home, "up", "--port", "0", "--admin-port", "0")
        assert (code, out) == (1, "")
        assert err.startswith(f"Error: Another plat up (pid {platform.process.pid}) uses {home.data}")
        assert err.count("\n") == 1
        assert (home.folder / "config" / "plat" / "config.toml").read_text() == config
        assert (await run(home, "list"))[0] == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--port", "70000"], "--port = 70000"),
        (["--driver", "dokcer"], "--driver = 'dokcer'"),
        (["--config", "/nowhere.toml"], "/nowhere.toml"),
    ],
)
async def test_a_wrong_setting_is_usage(home: Home, flags: list[str], said: str) -> None:
    code, out, err = await run(home, "up", *flags)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


async def test_a_database_that_is_none_ends_it_with_one_line(home: Home) -> None:
    home.data.mkdir(parents=True)
    (home.data / "plat.db").write_bytes(b"this is no database" * 1000)
    process = await start(home, "--driver", "process")
    assert await asyncio.wait_for(process.wait(), 60) == 1
    last = (home.folder / "up.log").read_text().splitlines()[-1]
    assert last.startswith("Error: core does not start: ")
    assert "not a database" in last
    assert (home.processes(), home.sockets()) == ([], [])


async def test_what_cannot_be_deployed_leaves_the_platform_up(home: Home) -> None:
    (home.function / "main.py").write_text("raise ValueError('not yet')\n")
    async with up(home, "--deploy", str(home.function)) as platform:
        await until(lambda: "not yet" in (home.folder / "up.log").read_text(), "the error")
        assert is_alive(platform.process.pid)
        assert (await run(home, "list"))[0] == 0
