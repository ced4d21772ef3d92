"""Pages of memory that loading a function writes to: a child has copies of its own before anybody waits.

A forked process shares each page until it writes to it. Then the kernel copies the page, which took 5 us, 45
times between an order and the first answer. Which pages those are is found out once: the first child loads a
function that looks (`page_writes`). Its addresses hold for the others: all are copies of one process.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import rehearsal
from .door import AN_ORDER_COMES, ARE_YOU_READY, LOAD

MADV_POPULATE_WRITE = 23
"""Linux 5.14; older kernels refuse it, and pages are copied as they are written to."""

PATIENCE_S = 2.0
CONNECT_PAUSE_S = 0.001
REFRESH_S = 0.005
"""Getting ready for an order takes half a millisecond."""

RECEIVE_BYTES = 64 * 1024

Pages = Sequence[tuple[int, int]]
"""Start and length in bytes."""

_ARE_YOU_WARM = b"GET /_plat/health HTTP/1.1\r\nHost: instance\r\nConnection: close\r\n\r\n"
_CALL = b"POST / HTTP/1.1\r\nHost: instance\r\nX-Call-Id: 1\r\nContent-Length: 2\r\n\r\n{}"

_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def take(pages: Pages) -> None:
    """Have them copied now. What is not mapped here stays so."""
    for start, length in pages:
        _libc.madvise(start, length, MADV_POPULATE_WRITE)


def end_with(parent: int) -> None:
    """Its end is this process's."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(0)


class Watched:
    """The first child. `order`: what it is to become; `ask` it when it runs, and `clear` up at the end."""

    def __init__(self) -> None:
        """Raises OSError."""
        base = os.environ.get("TMPDIR", "/tmp")
        self._folder = f"{base}/plat-fork-server-{os.urandom(8).hex()}"
        os.mkdir(self._folder, 0o700)  # noqa: PTH102
        self._path = f"{self._folder}/socket"
        self.order: dict[str, Any] = {
            "env": {"PLAT_SOCKET": self._path},
            "cwd": "/",
            "stdout": os.devnull,
            "stderr": os.devnull,
        }

    def ask(self) -> Pages:
        """Its pages. Raises OSError, and ValueError for any other answer."""
        deadline = time.monotonic() + PATIENCE_S
        with self._connected(deadline) as asked:
            asked.sendall(_ARE_YOU_WARM)
            _body_of_answer(asked)
        with self._connected(deadline) as pool, self._connected(deadline) as router:
            self.clear()
            pool.sendall(AN_ORDER_COMES)
            time.sleep(REFRESH_S)
            order = json.dumps({**rehearsal.ORDER, "handler": "page_writes.handler"}).encode()
            pool.sendall(b"%b%d\r\n\r\n%b" % (LOAD, len(order), order))
            router.sendall(ARE_YOU_READY)
            _body_of_answer(router)
            router.sendall(_CALL)
            return [(start, length) for start, length in json.loads(_body_of_answer(router))]

    def clear(self) -> None:
        """Nobody else is to connect. Leaves nothing behind."""
        Path(self._path).unlink(missing_ok=True)
        if Path(self._folder).exists():
            Path(self._folder).rmdir()

    def _connected(self, deadline: float) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(PATIENCE_S)
            while (error := sock.connect_ex(self._path)) and time.monotonic() < deadline:
                time.sleep(CONNECT_PAUSE_S)
            if error:
                raise OSError(error, os.strerror(error))
        except BaseException:
            sock.close()
            raise
        return sock


def _body_of_answer(sock: socket.socket) -> bytes:
    """Raises OSError, and ValueError for what is no whole answer 200 with a Content-Length."""
    data = b""
    while True:
        head, end, body = data.partition(b"\r\n\r\n")
        if end:
            if not head.startswith(b"HTTP/1.1 200 "):
                raise ValueError(data.decode(errors="replace"))
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            if len(body) >= length:
                return body
        piece = sock.recv(RECEIVE_BYTES)
        if not piece:
            raise ValueError("the answer was cut")
        data += piece
