"""One service process, kept alive: started, watched, started again when it dies, stopped in order.

When to start again is decided in `cli.restart`; what the process serves is not known here.
"""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process

from msgspec import Struct, structs

from cli.relay import Relay, cause_in
from cli.restart import GiveUp, Past, after_death
from plat.logs import get_logger

log = get_logger(__name__)

LAST_WORDS_S = 0.5
"""How long a dead process's stderr is read on: something that it started may hold the pipe open."""


class Command(Struct, frozen=True):
    """What to start. The descriptors stay open in the process, under their numbers."""

    name: str
    argv: tuple[str, ...]
    environ: dict[str, str]
    descriptors: tuple[int, ...] = ()


class Service:
    """A process of its own session, so that the terminal's Ctrl-C does not reach it."""

    def __init__(self, command: Command) -> None:
        self.name = command.name
        self.restarts = 0
        self.ended_well = False
        """Whether the last process ended by itself, with status 0."""
        self._command = command
        self._past = Past()
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """None when it does not run at this moment."""
        return self._process.pid if self._process is not None else None

    async def run(self) -> str | None:
        """Until `stop` or `kill`; or until the process has shown that it cannot start: then why.

        Not to be cancelled: stop it instead.
        """
        try:
            while not self._stopping.is_set():
                started_at = time.monotonic()
                cause, last_line = await self._live_once()
                if self._stopping.is_set():
                    break
                decision = after_death(self._past, started_at=started_at, now=time.monotonic())
                if isinstance(decision, GiveUp):
                    return f"{self.name} does not start: {cause_in(last_line) or cause}"
                log.error(
                    "service died",
                    died=self.name,
                    cause=cause,
                    last_line=last_line,
                    restart_in_s=decision.after_s,
                )
                self._past = decision.past
                self.restarts += 1
                await self._pause(decision.after_s)
            return None
        finally:
            self._ended.set()

    def confirm_ready(self) -> None:
        """It has served once: from now on it is started again however often it dies."""
        self._past = structs.replace(self._past, was_ready=True)

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL after `grace_s` seconds. Returns when the process is gone."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await self._ended.wait()
        except TimeoutError:
            log.error("service did not stop in time: killed", service_name=self.name, grace_s=grace_s)
            self.kill()
            await self._ended.wait()

    def kill(self) -> None:
        """SIGKILL now, to it and what is in its process group."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _live_once(self) -> tuple[str, str]:
        """From start to death; the cause of death in words, and the last line it wrote."""
        read_end, write_end = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command.argv,
                env=self._command.environ,
                stdin=DEVNULL,
                stdout=write_end,
                stderr=write_end,
                pass_fds=self._command.descriptors,
                start_new_session=True,
            )
        except OSError as error:
            os.close(read_end)
            return f"cannot be started: {self._command.argv[0]}: {error.strerror}", ""
        finally:
            os.close(write_end)
        if self._stopping.is_set():  # asked to while it was being started
            self._signal(signal.SIGTERM)
        output = await _read(read_end)
        status = await self._process.wait()
        self._process = None
        self.ended_well = status == 0
        await output.finish()
        return death_of(status), output.relay.last_line

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        try:
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        except ProcessLookupError:
            log.debug("service is gone already", service_name=self.name)

    async def _pause(self, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()
        except TimeoutError:
            return


def death_of(status: int) -> str:
    """`killed by SIGKILL`, or `exited with status 1`."""
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"


class _Output(asyncio.Protocol):
    """Copies what arrives to our stderr."""

    def __init__(self) -> None:
        self.relay = Relay()
        self._transport: asyncio.BaseTransport | None = None
        self._closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        _write(self.relay.feed(data))

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()

    async def finish(self) -> None:
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await self._closed.wait()
        except TimeoutError:
            assert self._transport is not None
            self._transport.close()
        _write(self.relay.end())


async def _read(descriptor: int) -> _Output:
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    _, output = await asyncio.get_running_loop().connect_read_pipe(_Output, pipe)
    return output


def _write(data: bytes) -> None:
    if data:
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()
