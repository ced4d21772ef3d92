"""A newcomer's first minutes: a fresh clone, and exactly what README.md says, with both drivers."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.platform import free_port

ROOT = Path(__file__).resolve().parents[2]
INSTALL_S = 600.0


@pytest.fixture(scope="module")
def clone(folder: Path) -> Path:
    """What is committed: a newcomer sees nothing else."""
    target = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(target)], check=True)
    return target


@pytest.fixture(scope="module")
def environ(folder: Path) -> dict[str, str]:
    """A home of its own. Downloads may come from the real cache."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PLAT_", "MAKE"))}
    return {**kept, "XDG_CONFIG_HOME": str(folder / "config"), "XDG_DATA_HOME": str(folder / "share")}


class MakeUp:
    """`make up` in the foreground of somebody else."""

    def __init__(self, clone: Path, environ: dict[str, str], driver: str) -> None:
        self._log = clone / "make-up.log"
        self.url = f"http://127.0.0.1:{free_port()}"
        command = [
            "make",
            "up",
            f"PORT={self.url.rsplit(':')[-1]}",
            f"ADMIN_PORT={free_port()}",
            f"DRIVER={driver}",
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=clone,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def curl_line(self) -> str:
        """The printed line, as soon as it is there."""
        deadline = time.monotonic() + INSTALL_S
        while not (match := re.search(r"^\s*(curl .*)$", self.output, re.MULTILINE)):
            assert self._process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)
        return match[1]

    @property
    def output(self) -> str:
        return self._log.read_text()

    def interrupt(self) -> None:
        """Ctrl-C goes to the whole foreground group."""
        os.killpg(self._process.pid, signal.SIGINT)
        self._process.wait(60)
        with pytest.raises(ProcessLookupError):
            os.killpg(self._process.pid, 0)


@pytest.fixture(scope="module")
def up(clone: Path, environ: dict[str, str], driver: str) -> Iterator[MakeUp]:
    running = MakeUp(clone, environ, driver)
    running.curl_line()
    yield running
    running.interrupt()


def test_the_printed_curl_line_works_as_printed(up: MakeUp, environ: dict[str, str]) -> None:
    answer = subprocess.run(
        up.curl_line(), shell=True, check=True, capture_output=True, text=True, env=environ
    )
    assert "Hello" in answer.stdout
    assert up.url in up.curl_line()


def test_the_tour(up: MakeUp, clone: Path, environ: dict[str, str]) -> None:
    tour = next(block for block in _shell_blocks(clone / "README.md") if "plat init" in block)
    script = f"set -e\nshopt -s expand_aliases\n{tour}"
    ran = subprocess.run(
        ["bash", "-s"],
        input=script,
        cwd=clone,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr + up.output[-2000:]
    assert "you" in ran.stdout
    assert "Version 2 of greet is live" in ran.stdout + ran.stderr
    shutil.rmtree(clone / "greet")


def test_a_second_start_installs_nothing(
    clone: Path, environ: dict[str, str], driver: str, up: MakeUp
) -> None:
    again = MakeUp(clone, {**environ, "XDG_DATA_HOME": environ["XDG_DATA_HOME"] + "2"}, driver)
    again.curl_line()
    again.interrupt()
    assert "Installing" not in again.output


def _shell_blocks(path: Path) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL)
