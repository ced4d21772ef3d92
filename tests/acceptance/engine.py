"""A Docker engine of the test's own, that may be killed: sockets, state and data in one folder."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_S = 60.0


class Engine:
    """`dockerd --live-restore`: containers outlive it, as on a well-kept server."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        folder = self._folder
        # In a network of its own: an engine without a bridge removes the bridge of the machine's engine.
        command = [
            "unshare",
            "--net",
            "dockerd",
            "-H",
            self.host,
            "--live-restore",
            "--bridge=none",
            "--iptables=false",
        ]
        command += [
            "--data-root",
            f"{folder}/data",
            "--exec-root",
            f"{folder}/exec",
            "--pidfile",
            f"{folder}/pid",
        ]
        with (folder / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while self.docker("version", check=False).returncode != 0:
            assert time.monotonic() < deadline, (folder / "dockerd.log").read_text()[-2000:]
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        (self._folder / "pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """Everything ends: containers, containerd, the engine."""
        assert self._process is not None
        if self._process.poll() is not None:
            self.start()
        containers = self.docker("ps", "-aq").stdout.decode().split()
        if containers:
            self.docker("rm", "-f", *containers)
        self._process.terminate()
        self._process.wait(60)
        for mount in reversed(self._mounts()):
            subprocess.run(["umount", "-l", mount], check=True)

    def _mounts(self) -> list[str]:
        """What the engine has mounted below its folder, and left there."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        points = [line.split()[4] for line in lines]
        return [point for point in points if point.startswith(f"{self._folder}/")]

    def load(self, image: str) -> None:
        """Take an image over from the machine's engine."""
        saved = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
        subprocess.run(
            ["docker", "-H", self.host, "load"], stdin=saved.stdout, check=True, capture_output=True
        )
        assert saved.stdout is not None
        saved.stdout.close()
        assert saved.wait() == 0

    def docker(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[bytes]":
        environ = {**os.environ, "DOCKER_HOST": self.host}
        return subprocess.run(["docker", *arguments], capture_output=True, env=environ, check=check)


@contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    running = Engine(folder)
    running.start()
    try:
        yield running
    finally:
        running.stop()
