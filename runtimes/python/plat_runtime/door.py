"""The door: owns the listening socket, greets connections and answers /_plat/ itself.

Once there is a handler it has a thread of its own, so that an instance answers its health check also while
the handler keeps the main thread busy. A connection whose first request is a call goes to the engine with
the bytes read so far, and costs the door nothing from then on.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep  # now: a handler may replace them
from typing import Protocol

from . import http1, pages

BACKLOG = 1024
RECEIVE_BYTES = 64 * 1024
ORDER_LIMIT_BYTES = 16 * 1024 * 1024
SEND_TIMEOUT_S = 5
ACCEPT_PAUSE_S = 0.01
FIRST_CALL_S = 0.005
"""A router that was told that we are ready has sent its call by then, and told the pool."""

# What the platform itself asks while a call waits is known at a glance: to parse a head for the first time
# takes a process 0.1 ms. Asked otherwise, it is read as any request.

AN_ORDER_COMES = b"\r\n"
"""An empty line before a request means nothing (RFC 9112, 2.2): who waits for an order gets ready for it."""

ARE_YOU_READY = b"GET /_plat/health HTTP/1.1\r\nHost: instance\r\n\r\n"
_READY_REQUEST = http1.parse_head(ARE_YOU_READY)

LOAD = (
    b"POST /_plat/load HTTP/1.1\r\nHost: instance\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: "
)
_LOAD_REQUEST = http1.parse_head(LOAD + b"0\r\n\r\n")


Refresh = Callable[[Callable[[], bool]], None]
"""Gets ready, until what it is given is true: bytes are here."""


class Engine(Protocol):
    """Serves connections. `adopt` is called by any thread, `intake_closed` by the door's."""

    def adopt(self, sock: socket.socket, data: bytes) -> None: ...

    def intake_closed(self) -> None: ...


class Guest:
    """A connection that the door still has. `held` is the page that it waits for."""

    __slots__ = ("buffer", "held", "is_call", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = bytearray()
        self.held: http1.Request | None = None
        self.is_call = False


def begins_page(data: bytes | bytearray) -> bool | None:
    """Whether these first bytes ask for one of the platform's pages; None: too few to tell."""
    method, space, target = bytes(data[:128]).partition(b" ")
    if not space:
        return None if len(method) < 64 else False
    prefix = pages.PREFIX.encode()
    if len(target) < len(prefix):
        return None if prefix.startswith(target) else False
    return target.startswith(prefix)


def listen(path: str) -> socket.socket:
    """Who may connect is decided by the folder's mode: the router may be another user than we are."""
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o666)  # noqa: PTH101
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def order_at_a_glance(data: bytes | bytearray) -> bytes | None:
    """The body of a whole request to load as the pool makes it, and of nothing else."""
    if not data.startswith(LOAD):
        return None
    length, _, body = bytes(data[len(LOAD) :]).partition(b"\r\n\r\n")
    return body if length == b"%d" % len(body) else None


def _what_came(sock: socket.socket) -> bytes | None:
    """Without waiting for more; None: it has left."""
    try:
        return sock.recv(RECEIVE_BYTES, socket.MSG_DONTWAIT) or None
    except BlockingIOError:
        return b""
    except OSError:
        return None


def _send_all(sock: socket.socket, data: bytes) -> None:
    """Small answers go out at once. Raises OSError, also for a client that takes too long."""
    try:
        sent = sock.send(data)
    except BlockingIOError:
        sent = 0
    if sent < len(data):
        sock.settimeout(SEND_TIMEOUT_S)
        sock.sendall(data[sent:])
        sock.setblocking(False)


class Door:
    """`serve` while there is no function; while one is loaded nobody is let in; then `settled`.

    From then on the thread has it, until `stop`.
    """

    def __init__(self, path: str, pages_: pages.Pages) -> None:
        self._path = path
        self._listener = listen(path)
        self._pages = pages_
        self._engine: Engine | None = None
        self._guests: set[Guest] = set()
        self._settled = threading.Event()
        self._answer_at = 0.0
        """Those who wait for the end of loading are answered then."""
        self._refresh: Refresh = lambda _: None
        self._is_stopping = False
        self._is_open = True
        self._selector = selectors.DefaultSelector()
        self._bell, self._bell_end = socket.socketpair()
        for sock in (self._bell, self._bell_end):
            sock.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._bell, selectors.EVENT_READ, self._answer_bell)
        threading.Thread(target=self._run, name="plat-door", daemon=True).start()

    def serve(self, until: Callable[[], bool], refresh: Refresh) -> None:
        """Answer pages here, in the caller's thread: whoever hands an order over to another waits for it.

        `refresh` is called when an order is about to come.
        """
        self._refresh = refresh
        while not until():
            self._serve_ready()

    def settled(self, engine: Engine | None) -> None:
        """Loading has ended: answer who waits, and from now on give calls to `engine`.

        A router that has asked sends its call in a moment, and tells the pool, whose own answer can wait.
        """
        self._engine = engine
        if engine is not None and self._let_in(engine):
            self._answer_at = monotonic() + FIRST_CALL_S
        else:
            self._answer_held()
        self._settled.set()

    def stop(self) -> None:
        """Let in whoever has connected, then nobody; `engine.intake_closed` is called at the end."""
        self._is_stopping = True
        with contextlib.suppress(OSError):  # the bell rings already, or nobody is there any more
            self._bell_end.send(b"\0")

    def _run(self) -> None:
        """The thread: made while nobody waits for it."""
        # Any thread may take a signal of a process that was paused, and the main one has to act on it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        self._settled.wait()
        for guest in list(self._guests):
            guest.is_call = False
            self._progress(guest)
        while self._is_open and (left_s := self._answer_at - monotonic()) > 0:
            self._serve_ready(left_s)
        self._answer_held()
        while self._is_open:
            self._serve_ready()
        self._selector.close()
        self._bell.close()
        self._bell_end.close()

    def _answer_held(self) -> None:
        for guest in list(self._guests):
            if guest.held is not None:
                request, guest.held = guest.held, None
                self._send(guest, self._pages.outcome(request), request=request)
                self._progress(guest)

    def _let_in(self, engine: Engine) -> bool:
        """Who has connected meanwhile is a router that asks whether we are ready; whether there is one.

        It is answered before anybody else, and its first call need not pass here.
        """
        has_asked = False
        while (sock := self._next()) is not None:
            asked = _what_came(sock)
            if asked == ARE_YOU_READY:
                with contextlib.suppress(OSError):  # if it has left the engine will see
                    _send_all(sock, self._ready_answer())
                engine.adopt(sock, b"")
                has_asked = True
            elif asked is None:
                sock.close()
            else:
                guest = self._greet(sock, asked)
                if guest in self._guests and not guest.buffer:
                    self._pass_on(guest)
        return has_asked

    def _ready_answer(self) -> bytes:
        return http1.encode(self._pages.outcome(_READY_REQUEST), is_head=False, close=False)

    def _serve_ready(self, patience_s: float | None = None) -> None:
        for key, _ in self._selector.select(patience_s):
            key.data()

    def _answer_bell(self) -> None:
        self._bell.recv(RECEIVE_BYTES)
        if self._is_stopping:
            self._close()

    def _accept(self) -> None:
        while (sock := self._next()) is not None:
            self._greet(sock)

    def _next(self) -> socket.socket | None:
        """Who has connected."""
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return None
        except OSError:  # one that left already, or no descriptor left: do not spin on it
            sleep(ACCEPT_PAUSE_S)
            return None
        return sock

    def _greet(self, sock: socket.socket, data: bytes = b"") -> Guest:
        sock.setblocking(False)
        guest = Guest(sock)
        self._guests.add(guest)
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._read(guest))
        guest.buffer += data
        self._progress(guest)
        return guest

    def _read(self, guest: Guest) -> None:
        if guest not in self._guests:  # it left earlier in this round: its bytes are the engine's
            return
        try:
            data = guest.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._dismiss(guest)
            return
        guest.buffer += data
        self._progress(guest)

    def _get_ready(self) -> None:
        """What fails here fails again with the order, and is told then."""
        with contextlib.suppress(OSError):
            self._refresh(lambda: bool(self._selector.select(0)))
        self._ready_answer()

    def _progress(self, guest: Guest) -> None:
        """Go on with what the guest has sent until it must send more or wait."""
        while guest in self._guests and guest.held is None and not guest.is_call and guest.buffer:
            if guest.buffer.startswith(AN_ORDER_COMES):
                del guest.buffer[: len(AN_ORDER_COMES)]
                if not guest.buffer and self._pages.state == pages.WARM:
                    self._get_ready()
                continue
            is_page = begins_page(guest.buffer)
            if is_page is None:
                return
            if not is_page:
                self._pass_on(guest)
            elif not self._serve_page(guest):
                return

    def _pass_on(self, guest: Guest) -> None:
        if self._engine is not None:
            self._release(guest)
            self._engine.adopt(guest.sock, bytes(guest.buffer))
        elif self._pages.state in (pages.LOADING, pages.READY):
            guest.is_call = True
        else:
            self._send(guest, self._pages.refusal(), close=True)

    def _serve_page(self, guest: Guest) -> bool:
        """False: the request is not complete, or waits for the end of loading."""
        try:
            read = self._read_page(guest)
        except http1.BadRequestError as error:
            text = str(error).encode()
            self._send(
                guest, http1.Response(error.status, [("content-type", "text/plain")], text), close=True
            )
            return False
        if read is None:
            return False
        request, body = read
        response = self._pages.answer(request, body)
        if response is None:
            guest.held = request
            return False
        self._send(guest, response, request=request)
        return True

    def _read_page(self, guest: Guest) -> tuple[http1.Request, bytes] | None:
        if (ordered := order_at_a_glance(guest.buffer)) is not None:
            guest.buffer.clear()
            return _LOAD_REQUEST, ordered
        end = http1.head_end(guest.buffer)
        if end < 0:
            return None
        request = http1.parse_head(bytes(guest.buffer[:end]))
        if request.length > ORDER_LIMIT_BYTES or len(guest.buffer) > ORDER_LIMIT_BYTES:
            raise http1.BadRequestError("The order is too large.", 413)
        decoder = http1.body_of(request)
        body, rest = decoder.feed(bytes(guest.buffer[end:]))
        if not decoder.done:
            return None
        guest.buffer[:] = rest
        return request, body

    def _send(
        self,
        guest: Guest,
        response: http1.Response,
        *,
        request: http1.Request | None = None,
        close: bool = False,
    ) -> None:
        close = close or (request is not None and not request.keep_alive) or not self._is_open
        is_head = request is not None and request.method == "HEAD"
        try:
            _send_all(guest.sock, http1.encode(response, is_head=is_head, close=close))
        except OSError:
            close = True
        if close:
            self._dismiss(guest)

    def _close(self) -> None:
        if not self._is_open:  # a second SIGTERM
            return
        self._accept()
        self._selector.unregister(self._listener)
        self._listener.close()
        with contextlib.suppress(OSError):  # where the folder is closed to us, whoever started us removes it
            Path(self._path).unlink()
        self._answer_held()
        for guest in list(self._guests):
            self._read(guest)
        for guest in list(self._guests):
            self._dismiss(guest)
        self._is_open = False
        if self._engine is not None:
            self._engine.intake_closed()

    def _release(self, guest: Guest) -> None:
        self._guests.discard(guest)
        self._selector.unregister(guest.sock)

    def _dismiss(self, guest: Guest) -> None:
        if guest in self._guests:
            self._release(guest)
            guest.sock.close()
