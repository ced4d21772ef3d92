"""The open-loop generator: calls start at constant intervals, whether earlier ones are answered or not.

As a process it takes one Order (JSON) a line and answers with one Outcome a line. It knows HTTP/1.1 answers
with a Content-Length, nothing else.
"""

import asyncio
import gc
import re
import secrets
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, repeat
from subprocess import PIPE, Popen
from typing import cast

import msgspec
import uvloop

from bench import request
from bench.processes import END_S, ROOT, environ, python
from bench.schedule import Order, Outcome, Recorder, Schedule
from bench.ticker import Ticker
from plat.tasks import cancel, spawn

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *\d+\r\n", re.IGNORECASE)

LEAD_S = 0.05
"""Between the last connection's opening and the first call."""

SHORTEST_TICK_S = 0.000_1
"""Calls that come closer together are sent in groups."""

CONNECTS_AT_ONCE = 100

SELDOM = 100.0
AWAKE_S = 0.000_5
"""Between calls at most so many a second the generator sleeps, and to wake takes it 0.25 ms: it wakes so much
earlier, and then waits without sleeping for the call's time."""


class Connection(asyncio.Protocol):
    """Has one call under way at most."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._left = 0
        self._status = 0
        self._retry_after = False
        self._close = False
        self.intended: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by type

    def send(self, intended: float) -> None:
        assert self._transport is not None
        self.intended = intended
        self._transport.write(next(self._run.requests))

    def data_received(self, data: bytes) -> None:
        came = time.monotonic()  # before it is looked at: to read a head after a sleep takes 0.1 ms
        if self._left:
            self._left -= len(data)
        else:
            self._head += data
            if (end := self._head.find(b"\r\n\r\n") + 4) < 4:
                return
            if not self._read_head(self._head[:end]):
                self.abort()
                return
            self._left -= len(self._head) - end
            self._head = b""
        if self._left == 0:
            self._finish(came)
        elif self._left < 0:
            self.abort()

    def _read_head(self, head: bytes) -> bool:
        status, length = _STATUS.match(head), _LENGTH.search(head)
        if status is None or length is None or self.intended is None:
            return False
        self._status = int(status[1])
        self._left = int(length[1])
        self._close = _CLOSE.search(head) is not None
        self._retry_after = self._status >= 400 and _RETRY_AFTER.search(head) is not None
        return True

    def _finish(self, came: float) -> None:
        assert self.intended is not None
        self._run.recorder.answered(self._status, self._retry_after, self.intended, came)
        self.intended = None
        if self._close:
            self.abort()
        else:
            self._run.free(self)
        self._run.check_done()

    def connection_lost(self, error: Exception | None) -> None:
        if self.intended is not None:
            self._run.recorder.broke()
            self.intended = None
        self._run.lost(self)

    def abort(self) -> None:
        assert self._transport is not None
        self._transport.abort()


def requests(order: Order) -> Iterator[bytes]:
    """What the calls send, one after the other. For ever."""
    host = f"{order.host}:{order.port}"
    if order.targets:
        return cycle([request.bytes_of(host, target, order.request_bytes) for target in order.targets])
    data = request.bytes_of(host, order.target, order.request_bytes)
    return request.each_with_its_own_id(data, secrets.randbits(96)) if order.own_ids else repeat(data)


class Run:
    """One order under way."""

    def __init__(self, order: Order) -> None:
        self.recorder = Recorder()
        self.requests = requests(order)
        self._order = order
        self._awake_s = AWAKE_S if order.rate <= SELDOM else 0.0
        self._schedule = Schedule(order.rate, order.seconds, 0.0)
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._backlog: deque[float] = deque()
        self._fired = 0
        self._done = asyncio.Event()
        self._closing = False
        self._reconnects: set[asyncio.Task[None]] = set()

    async def run(self) -> Outcome:
        """Raises OSError if there is nobody to connect to."""
        await self._connect_all()
        start = time.monotonic() + LEAD_S
        self._schedule = Schedule(self._order.rate, self._order.seconds, start)
        begin = self._schedule.intended(0) + self._order.settle_s
        self.recorder = Recorder(self._schedule.intended(self._schedule.count), begin)
        ticker = Ticker(start - self._awake_s, max(1 / self._order.rate, SHORTEST_TICK_S))
        loop = asyncio.get_running_loop()
        loop.add_reader(ticker.descriptor, self._tick, ticker)
        try:
            async with asyncio.timeout(LEAD_S + self._order.seconds + self._order.grace_s):
                await self._done.wait()
        except TimeoutError:
            self._give_up(time.monotonic())
        finally:
            loop.remove_reader(ticker.descriptor)
            ticker.close()
            await self._close_all()
        return self.recorder.outcome(self._schedule.count)

    # --- what connections tell

    def free(self, connection: Connection) -> None:
        if self._backlog:
            connection.send(self._backlog.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if not self._closing:
            task = spawn(self._reconnect(), "reconnect")
            self._reconnects.add(task)
            task.add_done_callback(self._reconnects.discard)
            self.check_done()

    def check_done(self) -> None:
        if self.recorder.done == self._schedule.count:
            self._done.set()

    # --- inside

    def _tick(self, ticker: Ticker) -> None:
        ticker.clear()
        now = time.monotonic()
        due = self._schedule.due(now + self._awake_s)
        for number in range(self._fired, due):
            intended = self._schedule.intended(number)
            while now < intended:
                now = time.monotonic()
            self.recorder.fired(intended, now)
            if self._idle:
                self._idle.pop().send(intended)
            else:
                self._backlog.append(intended)
        self._fired = due

    def _give_up(self, now: float) -> None:
        for connection in self._open:
            if connection.intended is not None:
                self.recorder.gave_up(connection.intended, now)
                connection.intended = None
        for intended in self._backlog:
            self.recorder.gave_up(intended, now)
        self._backlog.clear()

    async def _connect_all(self) -> None:
        left = self._order.connections
        while left:
            some = min(left, CONNECTS_AT_ONCE)
            await asyncio.gather(*(self._connect() for _ in range(some)))
            left -= some

    async def _reconnect(self) -> None:
        try:
            await self._connect()
        except OSError:  # who listened there has gone: its calls wait, and count as unanswered
            return

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(self), self._order.host, self._order.port
        )
        self._open.add(connection)
        self.free(connection)

    async def _close_all(self) -> None:
        self._closing = True
        await cancel(*self._reconnects)
        for connection in self._open.copy():
            connection.intended = None
            connection.abort()
        await asyncio.sleep(0)


def perform(order: Order) -> Outcome:
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection would stop the schedule; a run makes no cycles to speak of
    try:
        return uvloop.run(Run(order).run())
    finally:
        gc.enable()


class Generator:
    """The generator as a process: `perform` there, so that nothing of ours stops its schedule."""

    def __init__(self, process: "Popen[bytes]") -> None:
        self._process = process

    def perform(self, order: Order) -> Outcome:
        """Raises RuntimeError if the generator ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("The open-loop generator has ended; its error is above.")
        return msgspec.json.decode(line, type=Outcome)


@contextmanager
def generator() -> Iterator[Generator]:
    process = Popen(python(__name__), stdin=PIPE, stdout=PIPE, env=environ(), cwd=ROOT)
    assert process.stdin is not None
    try:
        yield Generator(process)
    finally:
        process.stdin.close()
        process.wait(END_S)
        assert process.stdout is not None
        process.stdout.close()


def main() -> None:
    for line in sys.stdin.buffer:
        outcome = perform(msgspec.json.decode(line, type=Order))
        sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
