"""A PostgreSQL server of the tests' own: a cluster in a temporary folder, reached by a socket in it."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.needs import postgres_bin

USER = "postgres"


class Cluster:
    """PostgreSQL refuses to run as root, which is then `postgres` instead."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data = folder / "data"
        self._as = USER if os.geteuid() == 0 else None
        if self._as:
            shutil.chown(folder, self._as)

    def make(self) -> None:
        self._run("initdb", "-D", self._data, "-U", USER, "--auth=trust", "--locale=C.UTF-8", "--no-sync")

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", self.folder / "log", "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def new_database(self) -> str:
        """A URL of an empty one."""
        name = f"test_{uuid.uuid4().hex}"
        self._run("createdb", "-h", self.folder, "-U", USER, name)
        return f"postgresql+asyncpg://{USER}@/{name}?host={self.folder}"

    def _run(self, program: str, *arguments: str | Path) -> None:
        folder = postgres_bin()
        assert folder is not None
        subprocess.run(
            [folder / program, *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            user=self._as,
            group=self._as,
            extra_groups=[] if self._as else None,
        )


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="plat-pg-") as folder:
        cluster = Cluster(Path(folder))
        cluster.make()
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
