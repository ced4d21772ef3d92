"""Makes instances by fork from one process that has imported the runtime: in 3 ms instead of 45.

`python <folder> fork-server` with a SOCK_SEQPACKET socket as standard input; it is asked one thing at a time:

    fork, with two descriptors   ->   pid N | errno N
    reap N                       ->   status CODE STATUS (of waitid(2), 0 0: it runs, or is no child)
    end N                        ->   the same, of a child that is killed

The descriptors are a file that says what the child becomes (JSON: env, cwd, stdout, stderr), which only the
child reads, and the reading end of a pipe: the gate. The child waits there for a byte, so that whoever asked
can note it first; end of file ends it. So no child ever runs that nobody knows. The server ends with its
socket, its children do not. It has one thread, and never runs code of a function.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import socket
import sys
from typing import Any, NamedTuple

from . import main, own_pages

ARGUMENT = "fork-server"
MESSAGE_BYTES = 64


class Birth(NamedTuple):
    """What a child has of its parent. It holds both descriptors."""

    order: int
    gate: int


def serve() -> None:
    """Returns in each child that may run, as what it is to become; the server itself never returns."""
    control = _take_control()
    main.preload()
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page that it marks
    gc.disable()
    pages: own_pages.Pages = ()
    birth = _watched()
    if not isinstance(birth, Birth):
        pages, birth = birth, _listen(control)
    control.close()
    gc.enable()
    _become(birth)
    if "PLAT_HANDLER" not in os.environ:  # else somebody waits already
        own_pages.take(pages)


def _watched() -> Birth | own_pages.Pages:
    """A Birth in the first child; in the server the pages that it wrote to, and nothing is left of it."""
    try:
        watched = own_pages.Watched()
        birth, server = _birth(watched.order), os.getpid()
        try:
            pid = os.fork()
        except OSError:
            watched.clear()
            raise
        finally:
            if os.getpid() == server:
                for descriptor in birth:
                    os.close(descriptor)
        if pid == 0:
            own_pages.end_with(server)
            return birth
        try:
            return watched.ask()
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            watched.clear()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"The pages that a load writes to are not known: {error!r}\n")
        return ()


def _birth(order: dict[str, Any]) -> Birth:
    """Of a child that may run at once."""
    file = os.memfd_create("order")
    os.pwrite(file, json.dumps(order).encode(), 0)
    gate_end, gate = os.pipe()
    os.write(gate, b"\0")
    os.close(gate)
    return Birth(file, gate_end)


def _take_control() -> socket.socket:
    """The socket, and nothing to read in its place for those to come."""
    control = socket.fromfd(0, socket.AF_UNIX, socket.SOCK_SEQPACKET)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return control


def _listen(control: socket.socket) -> Birth:
    """Answer until whoever asks is gone. Returns in each child."""
    try:
        control.send(b"ready")
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 2)
            if not message:
                os._exit(0)
            if message == b"fork":
                answer = _fork(descriptors)
                if isinstance(answer, Birth):
                    return answer
            else:
                answer = _wait(message)
            control.send(answer)
    except ConnectionError:
        os._exit(0)


def _fork(descriptors: list[int]) -> Birth | bytes:
    """A Birth in the child, the answer in the server."""
    try:
        birth = Birth(*descriptors)
        pid = os.fork()
    except TypeError:
        answer = b"errno %d" % errno.EMFILE  # there was no room for what came
    except OSError as error:
        answer = b"errno %d" % (error.errno or 0)
    else:
        if pid == 0:
            os.setsid()
            return birth
        answer = b"pid %d" % pid
    for descriptor in descriptors:
        os.close(descriptor)
    return answer


def _wait(message: bytes) -> bytes:
    word, _, number = message.partition(b" ")
    pid, options = int(number), os.WEXITED
    try:
        if word == b"end":
            os.kill(pid, signal.SIGKILL)
        else:
            options |= os.WNOHANG
        result = os.waitid(os.P_PID, pid, options)
    except (ChildProcessError, ProcessLookupError):
        result = None
    return b"status 0 0" if result is None else b"status %d %d" % (result.si_code, result.si_status)


def _become(birth: Birth) -> None:
    """What an instance is that was started by itself: its variables, folder, output and arguments."""
    with open(birth.order, "rb") as file:  # noqa: PTH123 - a descriptor
        order: dict[str, Any] = json.load(file)
    os.environ.clear()
    os.environ.update(order["env"])
    del sys.argv[1:]
    if not os.read(birth.gate, 1):
        os._exit(0)
    os.close(birth.gate)
    _write_to(order["stderr"], 2)
    _write_to(order["stdout"], 1)
    os.chdir(order["cwd"])


def _write_to(path: str, descriptor: int) -> None:
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, descriptor)
    os.close(log)
