"""Clients' connections: aiohttp's, but what is wrong with a request is answered as everywhere else.

A malformed request is a problem answer, counted and not logged: anybody can send garbage.
"""

from typing import Any

from aiohttp import web

from plat.errors import PlatError
from plat.logs import get_logger
from plat.web import new_call_id, problem_response

log = get_logger(__name__)

DETAIL_LIMIT = 200


class ClientConnection(web.RequestHandler):
    """One connection of a client."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a request that aiohttp could not read, or whose handler failed unexpectedly."""
        call_id = new_call_id()
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun; no other can follow it")
        if status >= 500:
            log.error("a request failed unexpectedly", call_id=call_id, exc_info=exc)
            error = PlatError("internal", "An unexpected error; the router's log has it under this call id.")
        else:
            reason = (message or "").strip().splitlines()
            detail = f"The request is not valid HTTP/1.1: {' '.join(reason)[:DETAIL_LIMIT]}"
            error = PlatError("bad_request", detail)
        response = problem_response(error, call_id)
        response.force_close()
        return response


class ClientServer(web.Server):
    """Makes a `ClientConnection` for each client."""

    def __init__(self, handler: Any, **options: Any) -> None:
        super().__init__(handler, **options)
        self._options = {name: value for name, value in options.items() if name != "handler_cancellation"}

    def __call__(self) -> ClientConnection:
        return ClientConnection(self, loop=self._loop, **self._options)
