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
    """A dockerd. With `live_restore` containers outlive it, as on a well-kept server."""

    def __init__(self, folder: Path, *, live_restore: bool = True) -> None:
        folder.mkdir(parents=True)
        self._live_restore = live_restore
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
            f"--live-restore={'true' if self._live_restore else 'false'}",
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
        self._wait_for_containerd()

    def _wait_for_containerd(self) -> None:
        """It dies with its engine, a moment later: an engine started meanwhile would wait for it in vain."""
        file = self._folder / "exec" / "containerd" / "containerd.pid"
        pid = int(file.read_text())
        deadline = time.monotonic() + START_S
        while Path(f"/proc/{pid}/exe").exists():
            assert time.monotonic() < deadline, "containerd outlives its engine"
            time.sleep(0.05)
        file.unlink(missing_ok=True)

    def end(self) -> None:
        """SIGTERM: without live restore its containers are stopped first."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)

    def stop(self) -> None:
        """Everything ends: containers, containerd, the engine."""
        assert self._process is not None
        if self._process.poll() is not None:
            self.start()
        containers = self.docker("ps", "-aq").stdout.decode().split()
        if containers:
            self.docker("rm", "-f", *containers)
        self.end()
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
def engine(folder: Path, *, live_restore: bool = True) -> Iterator[Engine]:
    running = Engine(folder, live_restore=live_restore)
    running.start()
    try:
        yield running
    finally:
        running.stop()
