"""The link to one process that forks instances: asks it for children, and how they ended.

What is said on the socket is in `runtimes/python/plat_runtime/fork_server.py`. Does not start it again.
"""

import asyncio
import os
import resource
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType

import msgspec
from msgspec import Struct

from plat.logs import get_logger
from plat.tasks import spawn, subtask
from pool.drivers import exits
from pool.drivers.exits import Cause

log = get_logger(__name__)

ANSWER_S = 2.0
"""A fork takes a millisecond. A server that takes so long is stuck, and is killed."""

BIRTHS_AT_ONCE = 4
"""More wait: it makes one after the other anyway, and each that waits holds three descriptors."""

MESSAGE_BYTES = 64
LAST_WORDS_BYTES = 2000


class ForkServerGoneError(Exception):
    """It has ended, or was killed because it did not answer. Whoever asked gets no child."""


class ChildOrder(Struct, frozen=True):
    """What a child becomes. Only the child reads it, so the server never has a function's secrets."""

    env: Mapping[str, str]
    cwd: str
    stdout: str
    stderr: str


class Forked:
    """A child that waits. Left without a `release` it ends, and nothing of it stays."""

    def __init__(self, process: "ForkProcess", pid: int, gate: int) -> None:
        self.pid = pid
        self._process = process
        self._gate = gate
        self._is_released = False

    def release(self) -> None:
        """Let it run. Somebody who has killed it meanwhile has killed an instance."""
        self._is_released = True
        with suppress(BrokenPipeError):
            os.write(self._gate, b"\0")

    def __enter__(self) -> "Forked":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._gate)
        if not self._is_released:
            self._process.end(self.pid)


class ForkProcess:
    """Holds two descriptors and a process of ours until `close`."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Blocks for about a millisecond. Raises OSError."""
        with ExitStack() as undo:
            self._stderr = os.memfd_create("stderr", os.MFD_CLOEXEC)
            undo.callback(os.close, self._stderr)
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undo.callback(self._socket.close)
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - a command of an installed runtime
                    argv,
                    cwd="/",
                    env=env,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=self._stderr,
                    start_new_session=True,
                    umask=0o077,
                )
            undo.pop_all()
        with suppress(ProcessLookupError):
            resource.prlimit(self._process.pid, resource.RLIMIT_CORE, (0, 0))
        self.pid = self._process.pid
        self.is_ready = False
        self.ended = asyncio.Event()
        self.settled = asyncio.Event()
        """Set once it is ready, or has ended before."""
        self._births = asyncio.Semaphore(BIRTHS_AT_ONCE)
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[list[bytes]] | None = None
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._receive)

    async def close(self) -> str:
        """End it, if it has not ended; tells how it ended. Its children go on.

        Once is enough; cancelled, call it again.
        """
        self._gone()
        self._process.kill()
        status = await asyncio.to_thread(self._process.wait)
        size = os.fstat(self._stderr).st_size
        words = os.pread(self._stderr, LAST_WORDS_BYTES, max(0, size - LAST_WORDS_BYTES))
        os.close(self._stderr)
        return f"status {status} {words.decode(errors='replace')}".strip()

    async def fork(self, order: ChildOrder) -> Forked:
        """Cancelled, it leaves no child. Raises ForkServerGoneError, and OSError: what the system refuses."""
        async with self._births:
            file, gate_end, gate = _descriptors(order)
            asking = subtask(self._ask_for_child(file, gate_end), "fork an instance")
            try:
                return Forked(self, await asyncio.shield(asking), gate)
            except BaseException:
                os.close(gate)
                asking.add_done_callback(self._forget)
                raise

    async def reap(self, pid: int) -> Cause | None:
        """How a child that has ended did so; None: the server that had it is gone. Cancelled, it is lost."""
        try:
            return await asyncio.shield(subtask(self._ask_for_end(b"reap", pid), f"reap {pid}"))
        except ForkServerGoneError:
            return None

    def end(self, pid: int) -> None:
        """Kill a child that was not released, in the background."""
        spawn(self._end(pid), f"end of the child {pid}")

    # --- steps

    async def _end(self, pid: int) -> None:
        with suppress(ForkServerGoneError):  # it ends by itself then
            await self._ask_for_end(b"end", pid)

    def _forget(self, asking: "asyncio.Task[int]") -> None:
        """Nobody waits for this child any more."""
        if not asking.cancelled() and asking.exception() is None:
            self.end(asking.result())

    async def _ask_for_child(self, order: int, gate_end: int) -> int:
        """Closes both descriptors."""
        with ExitStack() as done:
            done.callback(os.close, order)
            done.callback(os.close, gate_end)
            match await self._ask(b"fork", order, gate_end):
                case [b"pid", pid]:
                    return int(pid)
                case [b"errno", number]:
                    raise OSError(int(number), os.strerror(int(number)))
                case answer:
                    raise self._misunderstood(answer)

    async def _ask_for_end(self, word: bytes, pid: int) -> Cause | None:
        match await self._ask(b"%b %d" % (word, pid)):
            case [b"status", b"0", b"0"]:
                return None
            case [b"status", code, status]:
                return exits.from_wait(int(code), int(status))
            case answer:
                raise self._misunderstood(answer)

    async def _ask(self, message: bytes, *descriptors: int) -> list[bytes]:
        """One question at a time. Not safe to cancel."""
        async with self._turn:
            if self.ended.is_set():
                raise ForkServerGoneError
            answer: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
            self._answer = answer
            try:
                socket.send_fds(self._socket, [message], descriptors)
            except ConnectionError:
                self._gone()
            await asyncio.wait([answer], timeout=ANSWER_S)
            if not answer.done():
                self._receive()  # perhaps it was our loop that was held up, and the answer is there
            if not answer.done():
                self._gone()
            if not answer.result():
                raise ForkServerGoneError
            return answer.result()

    def _misunderstood(self, answer: list[bytes]) -> ForkServerGoneError:
        log.error("the fork server's answer is unknown", pid=self.pid, answer=repr(answer))
        self._gone()
        return ForkServerGoneError()

    def _receive(self) -> None:
        try:
            message = self._socket.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._gone()
        elif message == b"ready":
            self.is_ready = True
            self.settled.set()
        elif self._answer is not None and not self._answer.done():
            self._answer.set_result(message.split())

    def _gone(self) -> None:
        """Also when it only seems so: without its socket it ends."""
        if self.ended.is_set():
            return
        self.is_ready = False
        self.ended.set()
        self.settled.set()
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result([])


def _descriptors(order: ChildOrder) -> tuple[int, int, int]:
    """A nameless file with the order, the gate's reading end, and the gate."""
    file = os.memfd_create("order", os.MFD_CLOEXEC)
    try:
        os.pwrite(file, msgspec.json.encode(order), 0)
        gate_end, gate = os.pipe2(os.O_CLOEXEC)
    except BaseException:
        os.close(file)
        raise
    return file, gate_end, gate
