"""What a running platform claims for itself: its port, its data folder, its folder of sockets."""

import errno
import fcntl
import os
import socket
import stat
import time
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from cli.failure import FailedError
from plat.logs import get_logger

log = get_logger(__name__)

FORMER_TIMEOUT_S = 20.0
POLL_S = 0.1


def reserve_port(host: str, port: int) -> socket.socket:
    """A bound socket with the port (0: any free one), so that the kernel gives its number to nobody else.

    It never listens: connections go to the routers, which bind with SO_REUSEPORT too, and come and
    go. Raises FailedError saying what to do.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)  # two can bind with SO_REUSEADDR, only one can listen
        reserved = socket.socket(family, socket.SOCK_STREAM)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(address)
        return reserved
    except OSError as error:
        raise FailedError(_port_error(host, port, error)) from error


def _port_error(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"Port {port} is in use: choose another with --port, or stop what uses it."
        case errno.EACCES:
            return f"Port {port} needs more rights than you have: choose one from 1024 on with --port."
        case _:
            return f"Cannot listen on {host}, port {port}: {error.strerror}. Choose another --host or --port."


def lock_data(folder: Path) -> BinaryIO:
    """The open lock file of a data folder, which is made if it is not there.

    The lock is shared by the processes that inherit the file, and ends with the last of them: so a
    platform whose `plat up` was killed keeps its folder until its services have stopped; they are
    waited for. Raises FailedError naming the process that has it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (folder / "lock").open("a+b")
    except OSError as error:
        raise FailedError(f"The data folder {folder} cannot be used: {error.strerror}.") from error
    with ExitStack() as undo:
        undo.callback(file.close)
        _lock(file, folder)
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        undo.pop_all()
        return file


def _lock(file: BinaryIO, folder: Path) -> None:
    deadline = time.monotonic() + FORMER_TIMEOUT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            pid = _holder(file)
            if _is_alive(pid):
                detail = f"Another plat up (pid {pid}) uses {folder}: stop it, or choose another with --data."
                raise FailedError(detail) from error
            if time.monotonic() > deadline:
                detail = f"Services of an earlier plat up (pid {pid}) still use {folder}: try again soon."
                raise FailedError(detail) from error
        time.sleep(POLL_S)


def _holder(file: BinaryIO) -> int:
    file.seek(0)
    content = file.read(20)
    return int(content) if content.isdigit() else 0


def _is_alive(pid: int) -> bool:
    """False also for 0: the holder has not written its number yet, so look again."""
    if pid == 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def make_run_folder(folder: Path) -> None:
    """A folder that only we can enter. Raises FailedError for one that is somebody else's."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.lstat()
    except OSError as error:
        raise FailedError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise FailedError(f"{folder} is not ours: remove it, or choose a shorter --data folder.")
    folder.chmod(0o700)


def remove_run_folder(folder: Path) -> None:
    """Remove it, unless instances still have their sockets there: a later start adopts those."""
    for path in folder.glob("*.sock"):
        path.unlink(missing_ok=True)
    for path in (folder / "instances", folder):
        try:
            path.rmdir()
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("folder kept", folder=str(path), detail=str(error))
            return
