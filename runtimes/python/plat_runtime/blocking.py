"""The engine of synchronous handlers: the main thread waits for requests and runs the handler.

With one call at a time it runs it itself: nothing is faster. With more it passes connections with a
request to a pool of threads, which grows with the need.
"""

from __future__ import annotations

import contextlib
import os
import queue
import selectors
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import NoReturn

from . import http1, pages, tracebacks
from .connection import ClientGoneError, Connection

MOST_THREADS = 64
"""With unlimited concurrency; more threads of Python serve nothing faster."""

Caller = Callable[[Connection, http1.Request], bool]


def leave(error: SystemExit) -> NoReturn:
    """End the process as SystemExit asks, from any thread, and without waiting for other threads."""
    code = error.code
    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    sys.stderr.write(f"The function called sys.exit({code or 0}): the instance ends.\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


class BlockingEngine:
    """`run` or `close`. `adopt`, `stop` and `intake_closed` may be called from any thread."""

    def __init__(self, pages_: pages.Pages) -> None:
        self._pages = pages_
        self._threads = 1
        self._caller: Caller | None = None
        self._selector = selectors.DefaultSelector()
        self._bell, self._bell_end = socket.socketpair()
        for sock in (self._bell, self._bell_end):
            sock.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._arrived: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._idle: set[Connection] = set()
        self._workers: list[threading.Thread] = []
        self._jobs: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._waiting_workers = threading.Semaphore(0)
        self._is_running = False
        self._is_stopping = False
        self._is_intake_closed = False

    def in_flight(self) -> int:
        return len(self._busy)

    def adopt(self, sock: socket.socket, data: bytes) -> None:
        self._arrived.append(Connection(sock, data, lambda: self._is_stopping))
        if self._is_running:  # else it is looked for before anything else
            self._ring()

    def stop(self) -> None:
        """From now on every answer closes its connection."""
        self._is_stopping = True

    def intake_closed(self) -> None:
        """Nobody comes any more: `run` returns when nothing is in flight."""
        self._is_intake_closed = True
        self._ring()

    def close(self) -> None:
        """It is not needed."""
        self._selector.close()
        self._bell.close()
        self._bell_end.close()

    def run(self, caller: Caller, concurrency: int) -> None:
        """Serve until stopped and drained. `concurrency` as in an order."""
        self._is_running = True
        self._caller = caller
        self._threads = concurrency or MOST_THREADS
        take = self._serve_here if self._threads == 1 else self._serve_in_thread
        while True:
            while self._arrived:
                self._welcome(self._arrived.popleft(), take)
            is_last_look = self._is_intake_closed and not self._busy
            events = self._selector.select(0 if is_last_look else None)
            for key, _ in events:
                if key.data is None:
                    self._bell.recv(4096)
                else:
                    take(key.data)
            if is_last_look and not events and not self._busy:
                break
        for connection in self._idle:
            connection.sock.close()

    def _welcome(self, connection: Connection, take: Callable[[Connection], None]) -> None:
        """A connection from the door, or back from a thread: it may have brought a request already."""
        self._busy.discard(connection)
        self._idle.add(connection)
        self._selector.register(connection.sock, selectors.EVENT_READ, connection)
        if connection.buffer:
            take(connection)

    def _serve_here(self, connection: Connection) -> None:
        self._busy.add(connection)
        keep = self._serve(connection)
        while keep and connection.buffer:
            keep = self._serve(connection)
        self._busy.discard(connection)
        if not keep:
            self._forget(connection)
            connection.sock.close()

    def _serve_in_thread(self, connection: Connection) -> None:
        self._busy.add(connection)
        self._forget(connection)
        self._jobs.put(connection)
        if not self._waiting_workers.acquire(blocking=False) and len(self._workers) < self._threads:
            worker = threading.Thread(target=self._work, name="plat-call", daemon=True)
            self._workers.append(worker)
            worker.start()

    def _forget(self, connection: Connection) -> None:
        self._idle.discard(connection)
        self._selector.unregister(connection.sock)

    def _work(self) -> None:
        while True:
            connection = self._jobs.get()
            if self._serve_or_crash(connection):
                self._arrived.append(connection)
            else:
                self._busy.discard(connection)
                connection.sock.close()
            self._waiting_workers.release()
            self._ring()

    def _serve_or_crash(self, connection: Connection) -> bool:
        """An error that nobody expects ends the process, as it does in the main thread."""
        try:
            return self._serve(connection)
        except BaseException as error:
            tracebacks.log_error(error)
            os._exit(1)

    def _serve(self, connection: Connection) -> bool:
        """Serve one request; True when the connection can take another."""
        try:
            request = connection.read_head()
            if request is None:
                return False
            if request.path.startswith(pages.PREFIX):
                return self._serve_page(connection, request)
            assert self._caller is not None
            return self._caller(connection, request)
        except http1.BadRequestError as error:
            return _refuse(connection, error)
        except ClientGoneError:
            return False
        except SystemExit as error:
            leave(error)

    def _serve_page(self, connection: Connection, request: http1.Request) -> bool:
        response = self._pages.answer(request, connection.read_body(request))
        assert response is not None, "a loaded instance holds no request back"
        return connection.respond(request, response)

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it rings already
            self._bell_end.send(b"\0")


def _refuse(connection: Connection, error: http1.BadRequestError) -> bool:
    text = [("content-type", "text/plain; charset=utf-8")]
    response = http1.Response(error.status, text, f"{error}\n".encode())
    with contextlib.suppress(ClientGoneError):
        connection.send(http1.encode(response, is_head=False, close=True))
    return False
