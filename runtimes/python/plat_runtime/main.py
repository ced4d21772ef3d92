"""The life of an instance: listen, load, serve, and on SIGTERM finish what is in flight."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import handlers, loader, order, pages, seal
from .blocking import BlockingEngine, leave
from .door import Door

_OWN_IMPORTS = frozenset(sys.modules)
"""Those of any instance, however it came to be."""


class Instance:
    """Exactly one a process; all methods run in its main thread."""

    def __init__(self, path: str, instance: str) -> None:
        self._given: order.Order | None = None
        self._engine: Any = None
        """None until the handler is loaded."""
        self._blocking: BlockingEngine | None = None
        """Made while nobody waits; not needed by every kind of handler."""
        self._ahead: Mapping[str, Iterable[str]] = {}
        """The modules that were imported before there was an order."""
        self._is_stopping = False
        self._pages = pages.Pages(instance, self._accept, self._in_flight)
        self._door = Door(path, self._pages)
        self._path = path

    def run(self, given: order.Order | None) -> None:
        """Serve until SIGTERM; without a given order wait for one."""
        signal.signal(signal.SIGTERM, lambda *_: self._stop())
        os.register_at_fork(
            before=_hold_sigterm, after_in_parent=_take_sigterm, after_in_child=_end_at_sigterm
        )
        if given is None:
            preload()  # before it says that it is warm
            self._ahead = loader.imported_ahead(_OWN_IMPORTS)
            self._blocking = BlockingEngine(self._pages)
            given = self._await_order()
        else:
            self._ahead = loader.imported_ahead(_OWN_IMPORTS)  # by a fork server, if it has one
            self._pages.loading(given)
        seal.wait(self._path)
        try:
            serve, stop_serving = self._load(given)
        except loader.LoadError as error:
            self._tell_failure(error)
            self._wait_for_end()
        self._pages.ready()
        self._door.settled(self._engine)
        if self._is_stopping:
            self._stop()
        serve()
        stop_serving()

    def _await_order(self) -> order.Order:
        from . import rehearsal  # noqa: PLC0415 - only whoever waits for an order has it

        self._door.serve(lambda: self._given is not None, rehearsal.refresh)
        assert self._given is not None
        return self._given

    def _accept(self, given: order.Order) -> None:
        self._given = given

    def _load(self, given: order.Order) -> tuple[Callable[[], None], Callable[[], None]]:
        """How to serve until stopped, and what to do then. Raises LoadError."""
        names = loader.prepare(given, self._ahead)
        handler = loader.load(given, names)
        if handler.kind in (handlers.ASYNC, handlers.ASGI):
            if self._blocking is not None:
                self._blocking.close()
            return self._async_serving(handler, given)
        engine = self._engine = self._blocking or BlockingEngine(self._pages)
        caller = _blocking_caller(handler, given)
        return lambda: engine.run(caller, given.concurrency), lambda: None

    def _async_serving(
        self, handler: handlers.Handler, given: order.Order
    ) -> tuple[Callable[[], None], Callable[[], None]]:
        from . import aio  # noqa: PLC0415 - asyncio costs 40 ms that a synchronous handler does not need

        engine = self._engine = aio.AsyncEngine(self._pages)
        if handler.kind == handlers.ASYNC:
            from .coroutines import AsyncFunctionCaller  # noqa: PLC0415

            caller = AsyncFunctionCaller(handler.call, given)
            return lambda: engine.run(caller), engine.close
        from .asgi import AsgiCaller, Lifespan  # noqa: PLC0415

        lifespan = Lifespan(handler.call)
        engine.loop.run_until_complete(lifespan.start())
        app = AsgiCaller(handler.call, lifespan.state)

        def stop() -> None:
            engine.loop.run_until_complete(lifespan.stop())
            engine.close()

        return lambda: engine.run(app), stop

    def _in_flight(self) -> int:
        return self._engine.in_flight() if self._engine is not None else 0

    def _tell_failure(self, error: loader.LoadError) -> None:
        sys.stderr.write(f"{error.detail}\n{error.trace}")
        sys.stderr.flush()
        self._engine = None
        self._pages.failed(error)
        self._door.settled(None)

    def _stop(self) -> None:
        """SIGTERM. Without a handler nothing can be in flight."""
        self._is_stopping = True
        if self._pages.state in (pages.WARM, pages.FAILED) or self._engine is None:
            _exit_now()
        if self._pages.state == pages.READY:
            self._engine.stop()
            self._door.stop()

    def _wait_for_end(self) -> None:
        """For whoever asks why the handler does not load.

        A signal that comes just before `signal.pause` would be waited for in vain. Blocking it runs the
        handler of one that has come.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        signal.sigwait({signal.SIGTERM})
        _exit_now()


def _blocking_caller(handler: handlers.Handler, given: order.Order) -> Any:
    if handler.kind == handlers.WSGI:
        from .wsgi import WsgiCaller  # noqa: PLC0415

        return WsgiCaller(handler.call, given)
    from .functions import FunctionCaller  # noqa: PLC0415

    return FunctionCaller(handler.call, given)


def preload() -> None:
    """While nobody waits: import what any kind of handler may need."""
    from . import aio, asgi, coroutines, functions, rehearsal, wsgi  # noqa: F401, PLC0415

    rehearsal.rehearse()


def _hold_sigterm() -> None:
    """A signal that comes while Python makes a new process of itself would be lost."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _take_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _end_at_sigterm() -> None:
    """What a handler forks is no instance: multiprocessing ends its workers by this signal."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _take_sigterm()


def _exit_now() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def main() -> None:
    """Raises SystemExit with a line that says what is missing in the environment."""
    faulthandler.enable()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    path = os.environ.get("PLAT_SOCKET")
    if not path:
        sys.exit("PLAT_SOCKET is not set: the path of the unix socket to listen at.")
    try:
        given = order.from_environ(os.environ)
    except order.OrderError as error:
        sys.exit(str(error))
    instance = Instance(path, os.environ.get("PLAT_INSTANCE", ""))
    try:
        instance.run(given)
    except SystemExit as error:
        leave(error)
