"""Loads and calls a handler of its own once, while nobody waits, and leaves nothing but the experience.

So the first call pays neither for what Python makes when it is first needed nor, in a forked process, for the
pages that it shares until it writes to them: with it, loading a function takes 1.5 ms instead of 2.8.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import loader, order
from .connection import Connection
from .functions import FunctionCaller

HANDLER = "rehearsed"
_ORDER = {
    "function": "rehearsal",
    "version": 1,
    "handler": f"{HANDLER}.handler",
    "event": "body",
    "concurrency": 1,
    "timeout_s": 30,
    "memory_mb": 128,
    "code": str(Path(__file__).parent),
    "env": {},
}
_CALL = (
    b"POST /?a=b HTTP/1.1\r\nHost: localhost\r\nX-Call-Id: 1\r\nX-Deadline-Ms: 1\r\n"
    b"Content-Type: application/json\r\nContent-Length: 12\r\n\r\n"
    b'{"a": [1.5]}'
)
ANSWER_BYTES = 4096


def rehearse() -> bytes:
    """The answer to the call."""
    given = order.from_json(json.dumps(_ORDER).encode(), "")
    assert given.environ
    call = FunctionCaller(_load(given), given)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(_CALL)
        connection = Connection(ours, b"", lambda: False)
        request = connection.read_head()
        assert request is not None
        call(connection, request)
        return theirs.recv(ANSWER_BYTES)


def _load(given: order.Order) -> Callable[[Any, Any], Any]:
    """As for a function, except that its folder is not on the path any more afterwards."""
    with _everything_put_back(given):
        names = loader.prepare(given, {})
        found = loader.load(given, names)
        source = Path(given.code, f"{HANDLER}.py").read_bytes()
        compile(source, HANDLER, "exec", dont_inherit=True)  # what was imported had been compiled already
        return found.call


@contextmanager
def _everything_put_back(given: order.Order) -> Iterator[None]:
    """What loading changes of the process."""
    environ, path, dont_write = dict(os.environ), sys.path[:], sys.dont_write_bytecode
    folder = os.open(".", os.O_PATH)
    try:
        yield
    finally:
        os.fchdir(folder)
        os.close(folder)
        for name in os.environ.keys() - environ.keys():
            del os.environ[name]
        os.environ.update(environ)
        sys.path[:], sys.dont_write_bytecode = path, dont_write
        sys.path_importer_cache.pop(given.code, None)
        sys.modules.pop(HANDLER, None)
