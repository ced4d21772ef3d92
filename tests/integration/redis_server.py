"""A Redis server of the test's own, on a unix socket, that can be killed, flushed and started again."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import redis

START_S = 10.0


class RedisServer:
    """`url` names its socket. Keeps what it has in memory only, unless `save` is given."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self.path = folder / "redis.sock"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def start(self, *more: str) -> None:
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is missing"
        self._process = subprocess.Popen(
            [
                program,
                *("--port", "0", "--unixsocket", str(self.path), "--dir", str(self._folder)),
                *("--save", "", "--daemonize", "no", "--logfile", "redis.log"),
                *self._options,
                *more,
            ]
        )
        self._until_it_answers()

    def kill(self) -> None:
        """As a crash."""
        process, self._process = self._process, None
        if process is not None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        self.path.unlink(missing_ok=True)

    def run(self, *command: str | int | float) -> object:
        with redis.Redis(unix_socket_path=str(self.path)) as client:
            return client.execute_command(*command)

    def _until_it_answers(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.run("PING")
                return
            except (redis.ConnectionError, redis.BusyLoadingError):
                assert time.monotonic() < deadline, (self._folder / "redis.log").read_text()
                time.sleep(0.01)
