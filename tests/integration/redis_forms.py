"""Other forms of Redis, of the test's own: a Cluster of one node, and a master that a Sentinel watches."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import redis

from tests.integration.redis_server import RedisServer

WAIT_S = 15.0
SERVICE = "main"

StartRedis = Callable[..., RedisServer]
"""With its name and its options; it ends with the test."""


def free_port() -> int:
    """Also 10,000 above it: there nodes of a Cluster talk."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    return port if port <= 50_000 else port - 20_000


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def run_cluster(start: StartRedis) -> str:
    """Its URL."""
    port = free_port()
    node = start("node", "--cluster-enabled", "yes", "--port", port, "--cluster-announce-ip", "127.0.0.1")
    node.run("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    until(lambda: "cluster_state:ok" in _text(node.run("CLUSTER", "INFO")), "the cluster does not begin")
    return f"redis+cluster://127.0.0.1:{port}"


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class Watched:
    """A master and its replica, and a Sentinel that makes the replica the master once the master has gone."""

    def __init__(self, folder: Path, start: StartRedis) -> None:
        port, replicas_port, self._port = (free_port() for _ in range(3))
        self.url = f"redis+sentinel://127.0.0.1:{self._port}/{SERVICE}"
        self.master = start("master", "--port", port, "--repl-diskless-sync-delay", 0)
        self.replica = start("replica", "--port", replicas_port, "--replicaof", f"127.0.0.1 {port}")
        self._config = folder / "sentinel.conf"
        self._config.write_text(
            f"port {self._port}\ndir {folder}\nlogfile sentinel.log\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 300\n"
            f"sentinel failover-timeout {SERVICE} 2000\n"
        )
        self._sentinel: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Until a failover can begin."""
        until(lambda: self._replicas("master_link_status") == "up", "the replica does not reach its master")
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is missing"
        self._sentinel = subprocess.Popen([program, str(self._config), "--sentinel"])
        until(self._sees_the_replica, "the Sentinel does not see the replica")

    def stop(self) -> None:
        if self._sentinel is not None:
            self._sentinel.kill()
            self._sentinel.wait()

    def replicate(self) -> None:
        """Until the replica has all that was written: it comes in order."""
        self.master.run("SET", "last", 1)
        until(lambda: self.replica.run("EXISTS", "last") == 1, "the replica does not follow its master")

    def has_failed_over(self) -> bool:
        return self._replicas("role") == "master"

    def _replicas(self, field: str) -> str | None:
        told = self.replica.run("INFO", "replication")
        assert isinstance(told, dict)
        return told.get(field)

    def _sees_the_replica(self) -> bool:
        with redis.Redis(port=self._port) as sentinel:
            try:
                seen = sentinel.sentinel_slaves(SERVICE)
            except redis.ConnectionError:  # it has not begun yet
                return False
        return any(each["master-link-status"] == "ok" for each in seen)
