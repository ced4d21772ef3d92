"""Loads and calls a handler of its own once, while nobody waits, and leaves nothing but the experience.

So the first call pays neither for what Python makes when it is first needed nor, in a forked process, for the
pages that it shares until it writes to them: with it, loading a function takes 1.5 ms instead of 2.8.

And again, in part, when an order is about to come: a process that has slept for some milliseconds has nothing
left in the processor's caches, and its first steps take up to ten times as long.
"""

from __future__ import annotations

import json
import marshal
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import machinery, util
from pathlib import Path
from typing import Any

from . import loader, order
from .connection import Connection
from .functions import FunctionCaller

HANDLER = "rehearsed"
_CODE = str(Path(__file__).parent)
ORDER = {
    "function": "rehearsal",
    "version": 1,
    "handler": f"{HANDLER}.handler",
    "event": "body",
    "concurrency": 1,
    "timeout_s": 30,
    "memory_mb": 128,
    "code": _CODE,
    "env": {},
}
_CALL = (
    b"POST /?a=b HTTP/1.1\r\nHost: localhost\r\nX-Call-Id: 1\r\nX-Deadline-Ms: 1\r\n"
    b"Content-Type: application/json\r\nContent-Length: 12\r\n\r\n"
    b'{"a": [1.5]}'
)
_VARIABLE = "PLAT_REHEARSAL"
_ORDER_AS_SENT = json.dumps(ORDER).encode()
_FILE = f"{_CODE}/{HANDLER}.py"
_BYTECODE = marshal.dumps(compile("def handler(event, context):\n    return event\n", _FILE, "exec"))
ANSWER_BYTES = 4096


def rehearse() -> bytes:
    """The answer to the call."""
    given = order.from_json(_ORDER_AS_SENT, "")
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


def refresh(is_over: Callable[[], bool]) -> None:
    """Some of what loading does, once more, until `is_over`. Leaves nothing.

    In steps of about a tenth of a millisecond: an order that comes meanwhile waits for the end of one.
    """
    for step in _STEPS:
        if is_over():
            return
        step()


def _read_an_order() -> None:
    assert order.from_json(_ORDER_AS_SENT, "").environ


def _make_a_module() -> None:
    found = machinery.SourceFileLoader(HANDLER, _FILE)
    spec = util.spec_from_file_location(HANDLER, _FILE, loader=found)
    assert spec is not None and spec.cached
    module = util.module_from_spec(spec)
    exec(marshal.loads(_BYTECODE), module.__dict__)


def _look_into_a_folder() -> None:
    machinery.FileFinder(_CODE, *loader.LOADERS)
    assert os.listdir(_CODE)  # noqa: PTH208


def _change_a_variable() -> None:
    os.environ[_VARIABLE] = ""
    del os.environ[_VARIABLE]


_STEPS = (_read_an_order, _make_a_module, _look_into_a_folder, _change_a_variable)
