"""What the client connections of one router share: how many there are, what they wait for, and memory.

Knows no bytes and no slots; `client_connection` and `fastpath` do.
"""

import asyncio
import secrets
import time
from itertools import count
from typing import Protocol

from router.answers import AnswerHeads, Refusals
from router.calls import Calls
from router.downstream import ClientServer
from router.recognise import Recognised, recognise

BODY_LIMIT_BYTES = 64 * 1024
"""Largest body the fast path takes; a larger one is streamed by the other."""

REMEMBERED_HEADS = 4096
REMEMBERED_HEAD_BYTES = 1024


class Client(Protocol):
    """One connection."""

    deadline: float
    """Monotonic time until which what it waits for must have come."""

    def late(self) -> None: ...
    def close_if_idle(self) -> None: ...
    def abort(self) -> None: ...


class Clients:
    """All of one router's."""

    def __init__(self, calls: Calls, server: ClientServer, connection_limit: int) -> None:
        self.calls = calls
        self._server = server
        self._connection_limit = connection_limit
        self.connections: set[Client] = set()
        self.closing = False
        self.epoch_s = time.time() - time.monotonic()
        """Added to a monotonic time, it gives seconds since 1970; corrected with every tick."""
        self.empty = asyncio.Event()
        """Set once the path is closing and its last connection has ended."""
        self._prefix = secrets.token_hex(8).encode()
        self._numbers = count(1)
        self.body_limit_bytes = min(BODY_LIMIT_BYTES, calls.admission.body_limit_bytes)
        self._requests: dict[bytes, Recognised] = {}
        self.answers = AnswerHeads()
        self.refusals = Refusals()

    def hand_over(self) -> asyncio.Protocol:
        """A connection of the streaming path."""
        return self._server()

    @property
    def is_full(self) -> bool:
        return len(self.connections) + self._server.open >= self._connection_limit

    def call_id(self) -> bytes:
        return b"%b-%x" % (self._prefix, next(self._numbers))

    def recognised(self, head: bytes) -> Recognised | None:
        """What `recognise` makes of a head, remembered by its bytes: clients repeat themselves."""
        known = self._requests.get(head)
        if known is None:
            known = recognise(head)
            if known is not None and len(head) <= REMEMBERED_HEAD_BYTES:
                if len(self._requests) >= REMEMBERED_HEADS:
                    self._requests.clear()
                self._requests[head] = known
        return known

    def tick(self, now: float) -> None:
        """Deadlines, a few times a second: none is exact, and none costs a timer."""
        self.epoch_s = time.time() - now
        for connection in [each for each in self.connections if now >= each.deadline]:
            connection.late()

    def close(self) -> None:
        """No further request on any connection: the idle ones end now, the others after their answer."""
        self.closing = True
        for connection in list(self.connections):
            connection.close_if_idle()
        self._note_empty()

    def forget(self, connection: Client) -> None:
        self.connections.discard(connection)
        self._note_empty()

    def _note_empty(self) -> None:
        if self.closing and not self.connections:
            self.empty.set()

    def abort(self) -> None:
        for connection in list(self.connections):
            connection.abort()
