"""A platform whose services are processes of their own, so that one can be ended at a step it is told."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance import child
from tests.acceptance.platform import (
    PLAT,
    START_S,
    STOP_S,
    Platform,
    instance_containers,
    instance_processes,
)

ROOT = Path(__file__).parent.parent.parent
ROUTERS = 2
KEEPER = Path(__file__).with_name("keeper.py")


class SplitPlatform(Platform):
    """Its pool is started again as soon as it has been killed."""

    def __init__(self, folder: Path, driver: str, **variables: str) -> None:
        super().__init__(folder, driver)
        self.death = folder / "death"
        self.environ |= {
            "PLAT_URL": self.url,
            "PLAT_TOKEN": "a-token-of-the-test-0123456789abcdef",
            "PLAT_PORT": str(self.port),
            "PLAT_ADMIN_PORT": str(self.admin_port),
            "PLAT_DATA": str(self.data),
            "PLAT_DRIVER": driver,
            "PLAT_ROUTERS": str(ROUTERS),
            "PLAT_TEST_DEATH": str(self.death),
            "PYTHONPATH": os.pathsep.join([str(_distribution(folder)), str(ROOT)]),
            **variables,
        }
        self._deaths = folder / "deaths"
        self._services: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def deaths(self) -> int:
        """How often the pool was killed."""
        return self._deaths.stat().st_size if self._deaths.exists() else 0

    def start(self) -> None:
        (self.data / "run").mkdir(parents=True, mode=0o700)
        self.data.chmod(0o700)
        self._run("control", PLAT, "control")
        self._run("builder", PLAT, "builder")
        self._run("pool", sys.executable, KEEPER, self._deaths, PLAT, "pool")
        for index in range(ROUTERS):
            self._run(f"router-{index}", PLAT, "router", "--index", index)
        self.wait_for(lambda: self.run("list").code == 0, START_S)

    def process_ended(self) -> bool:
        return not self._services

    def stop(self) -> None:
        """In the order of `plat up`: each must end well."""
        for name in [*(f"router-{index}" for index in range(ROUTERS)), "pool", "builder", "control"]:
            service = self._services[name]
            service.terminate()
            status = service.wait(STOP_S)
            assert status == 0, f"{name} ended with {status}:\n{self.log.read_text()[-3000:]}"

    def end(self) -> None:
        """Whatever happened: each is the leader of a process group."""
        for service in self._services.values():
            if service.poll() is None:
                os.killpg(service.pid, signal.SIGKILL)
                service.wait()

    def kill_pool(self) -> None:
        """kill -9; its keeper starts another."""
        [pid] = children(self._services["pool"].pid)
        os.kill(pid, signal.SIGKILL)

    def _run(self, name: str, *command: object) -> None:
        with self.log.open("ab") as log:
            arguments = [str(each) for each in command]
            self._services[name] = child.run(arguments, log, self.environ, new_session=True)


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _distribution(folder: Path) -> Path:
    """A folder that makes the test's drivers the first that are found."""
    place = folder / "site"
    info = place / "mortal-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mortal\nVersion: 0\n")
    lines = [f"{name} = tests.acceptance.mortal:{name}\n" for name in ("process", "docker")]
    (info / "entry_points.txt").write_text("[plat.drivers]\n" + "".join(lines))
    return place


@contextmanager
def split_platform(folder: Path, driver: str, **variables: str) -> Iterator[SplitPlatform]:
    running = SplitPlatform(folder, driver, **variables)
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.end()
    assert list((running.data / "run" / "instances").iterdir()) == []
    assert instance_processes(running.data) == []
    if driver == "docker":
        assert instance_containers(running.data, running.environ) == []
