"""What goes wrong around the platform: one line that says so and what to do; then it goes on."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.platform import Platform, free_port, instance_processes, platform

GOOD = 'def handler(event, context):\n    return "good"\n'


@pytest.fixture
def tmpfs(data_dir: Path) -> Iterator[Path]:
    """A file system of 24 MB, of the platform's data and the folders of its instances."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(data_dir)], check=True)
    yield data_dir
    subprocess.run(["umount", "-l", str(data_dir)], check=True)


def test_a_full_disk(tmpfs: Path) -> None:
    with platform(tmpfs, "process") as plat:
        plat.deploy("good", GOOD)
        ballast = tmpfs / "ballast"
        _fill(ballast)
        ran = plat.run("deploy", str(plat.write("good", GOOD + "# more\n")))
        assert ran.code == 1
        assert "No space left" in ran.err or "disk" in ran.err
        assert "Traceback" not in ran.err
        assert plat.plat("invoke", "good") == "good"
        ballast.unlink()
        assert plat.deploy("good", GOOD + "# more\n")["version"] > 1
        assert plat.plat("invoke", "good") == "good"


FILLS = """
import os

def handler(event, context):
    with open(os.path.join(os.environ["TMPDIR"], "ballast"), "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            return error.strerror
"""


def test_a_function_that_fills_the_disk(tmpfs: Path) -> None:
    """A process is not kept from it: the others serve on, and its end gives the space back."""
    with platform(tmpfs, "process") as plat:
        plat.deploy("good", GOOD)
        plat.deploy("fills", FILLS, "[scale]\nmax = 1\nidle_s = 2\n")
        assert plat.plat("invoke", "good") == "good"
        assert plat.plat("invoke", "fills") == "No space left on device"
        assert plat.plat("invoke", "good") == "good"
        ran = plat.run("deploy", str(plat.write("good", GOOD + "# more\n")))
        assert ran.code == 1
        assert "No space left" in ran.err or "disk" in ran.err
        plat.wait_for(lambda: not plat.instances("fills"))
        plat.wait_for(lambda: plat.run("deploy", str(plat.write("good", GOOD + "# more\n"))).code == 0)
        assert plat.plat("invoke", "good") == "good"
        assert plat.plat("invoke", "fills") == "No space left on device"


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def test_a_locked_database(folder: Path) -> None:
    with platform(folder / "locked", "process") as plat:
        plat.deploy("good", GOOD)
        connection = sqlite3.connect(plat.data / "plat.db", isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        ran = plat.run("scale", "good", "--max", "3")
        assert ran.code == 1
        assert "locked" in ran.err
        assert len(ran.err.strip().splitlines()) == 1
        assert plat.plat("invoke", "good") == "good"
        connection.execute("ROLLBACK")
        connection.close()
        plat.plat("scale", "good", "--max", "3")
        assert plat.plat_json("show", "good")["function"]["spec"]["scale"]["max"] == 3


def test_a_port_in_use(folder: Path) -> None:
    with platform(folder / "first", "process") as plat:
        command = [
            "up",
            "--port",
            str(plat.port),
            "--admin-port",
            str(free_port()),
            "--data",
            str(folder / "other"),
        ]
        ran = plat.run(*command)
        assert ran.code == 1
        assert f"Port {plat.port} is in use" in ran.err
        assert len(ran.err.strip().splitlines()) == 1


def test_a_data_folder_in_use(folder: Path) -> None:
    with platform(folder / "one", "process") as plat:
        ports = ["--port", str(free_port()), "--admin-port", str(free_port())]
        ran = plat.run("up", *ports, "--data", str(plat.data))
        assert ran.code == 1
        assert str(plat.data) in ran.err
        assert len(ran.err.strip().splitlines()) == 1


@pytest.mark.parametrize("role", ["core", "router"])
def test_a_killed_process_comes_back_and_its_death_is_logged(folder: Path, role: str) -> None:
    with platform(folder / role, "process") as plat:
        plat.deploy("good", GOOD)
        plat.kill(role)
        plat.wait_for(lambda: plat.run("invoke", "good").out == "good")
        plat.wait_for(lambda: plat.run("list").code == 0)
        deaths = [line for line in plat.log.read_text().splitlines() if "service died" in line]
        assert len(deaths) == 1
        assert "SIGKILL" in deaths[0]


def test_a_killed_supervisor_takes_everything_with_it(folder: Path) -> None:
    plat = Platform(folder / "headless", "process")
    plat.start()
    plat.deploy("good", GOOD)
    assert plat.plat("invoke", "good") == "good"
    assert plat.process is not None
    [core] = plat.children("core")
    family = {core, *plat.children("router"), *_children(core), *instance_processes(plat.data)}
    assert len(family) >= 3, "core, router and an instance; perhaps a fork server, and what is warm"
    plat.process.send_signal(signal.SIGKILL)
    plat.process.wait()
    plat.wait_for(lambda: not any(_alive(pid) for pid in family))


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_nothing_is_left_of_functions_that_keep_a_minimum(folder: Path) -> None:
    """An instance that is stopped at the end is not replaced; one that was starting is stopped too."""
    with platform(folder / "minimum", "process") as plat:
        plat.deploy("good", GOOD, "[scale]\nmin = 2\nmax = 2\n")
        plat.plat("scale", "good", "--min", "6", "--max", "6")


def test_a_second_start_finds_its_functions(folder: Path) -> None:
    with platform(folder / "again", "process") as plat:
        plat.deploy("good", GOOD)
    with platform(folder / "again", "process") as plat:
        assert plat.plat("invoke", "good") == "good"
