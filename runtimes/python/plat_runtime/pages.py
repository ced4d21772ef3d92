"""The platform's own pages of an instance, /_plat/health and /_plat/load, and the state they tell.

Decides what is answered; sockets are the door's. Called by the door's thread and the engine's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from . import order
from .http1 import Request, Response
from .loader import LoadError

PREFIX = "/_plat/"

WARM = "warm"
LOADING = "loading"
READY = "ready"
FAILED = "failed"


class Pages:
    """`accept` is given the order of /_plat/load; `in_flight` counts the calls that run now."""

    def __init__(
        self, instance: str, accept: Callable[[order.Order], None], in_flight: Callable[[], int]
    ) -> None:
        self.state = WARM
        self._instance = instance
        self._accept = accept
        self._in_flight = in_flight
        self._order: order.Order | None = None
        self._error: LoadError | None = None

    def loading(self, order_: order.Order) -> None:
        self._order = order_
        self.state = LOADING

    def ready(self) -> None:
        self.state = READY

    def failed(self, error: LoadError) -> None:
        self._error = error
        self.state = FAILED

    def answer(self, request: Request, body: bytes) -> Response | None:
        """None: hold the request back, and ask `outcome` when loading has ended."""
        if request.path == "/_plat/load":
            return self._load(request, body)
        if request.path != "/_plat/health":
            return _problem(404, "not_found", f"{request.path} is no page of an instance.")
        if request.method not in ("GET", "HEAD"):
            return _problem(405, "method_not_allowed", f"{request.method} {request.path}: allowed is GET.")
        return None if self.state == LOADING else self.outcome(request)

    def outcome(self, request: Request) -> Response:
        """The answer to a request that was held back, or that needs no wait."""
        if self.state == FAILED and self._error is not None:
            status = 422 if request.path == "/_plat/load" else 503
            return _problem(status, self._error.code, self._error.detail, self._error.trace)
        if self.state == READY and self._order is not None:
            return _json(200, {
                "function": self._order.function,
                "version": self._order.version,
                "in_flight": self._in_flight(),
            })  # fmt: skip
        return _json(200, {"warm": True, "rehearses": True})

    def refusal(self) -> Response:
        """The answer to a call that comes while there is no function."""
        if self._error is not None:
            return _problem(503, self._error.code, self._error.detail, self._error.trace)
        return _problem(503, "not_loaded", "This instance has no function yet: POST /_plat/load first.")

    def _load(self, request: Request, body: bytes) -> Response | None:
        if request.method != "POST":
            return _problem(405, "method_not_allowed", f"{request.method} {request.path}: allowed is POST.")
        if self.state != WARM:
            return _problem(409, "already_loaded", "This instance has a function already.")
        try:
            accepted = order.from_json(body, self._instance)
        except order.OrderError as error:
            return _problem(400, "bad_request", str(error))
        self.loading(accepted)
        self._accept(accepted)
        return None


def _problem(status: int, code: str, detail: str, trace: str = "") -> Response:
    return _json(status, {"code": code, "detail": detail, "traceback": trace})


def _json(status: int, value: dict[str, Any]) -> Response:
    return Response(status, [("content-type", "application/json")], json.dumps(value).encode())
