"""The control API and the dashboard on the public port: handed on to the control service unread."""

from aiohttp import web

from plat.address import Address
from plat.errors import PlatError
from plat.web import call_id_of, problem_response
from router.exchange import Exchange, request_headers
from router.http1 import BadResponseError, write_request_head
from router.pace import LeastRate
from router.request_body import read_early
from router.upstream import ConnectionLostError, UnreachableError, connect

PREFIXES = ("/v1", "/ui")

_FORWARDED_FOR = b"X-Forwarded-For"
_SILENCE_S = 24 * 3600.0
"""A followed log may be silent for long; control itself bounds everything else."""


def is_control(path: str) -> bool:
    return any(path == each or path.startswith((each + "/", each + "?")) for each in PREFIXES)


class ControlProxy:
    """A connection per request: the control API is not where calls per second are made."""

    def __init__(self, address: Address, body_limit_bytes: int, least_rate: LeastRate) -> None:
        self._address = address
        self._body_limit_bytes = body_limit_bytes
        self._least_rate = least_rate

    async def handle(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        call_id = call_id_of(request)
        try:
            return await self._forward(request, path, call_id)
        except (UnreachableError, ConnectionLostError, BadResponseError) as error:
            detail = f"The control service does not answer ({error}). Calls of functions go on."
            return problem_response(PlatError("control_unavailable", detail, retry_after_s=1), call_id)
        except PlatError as error:
            return problem_response(error, call_id)

    async def _forward(self, request: web.BaseRequest, path: str, call_id: str) -> web.StreamResponse:
        body = await read_early(request, self._body_limit_bytes)
        upstream = await connect(self._address)
        exchange = Exchange(
            request,
            upstream,
            silence_s=_SILENCE_S,
            body_limit_bytes=self._body_limit_bytes,
            least_rate=self._least_rate,
        )
        try:
            extra = [(b"Connection", b"close"), (_FORWARDED_FOR, forwarded_for(request))]
            headers = request_headers(request, call_id, extra, frozenset({_FORWARDED_FOR.lower()}))
            head = await exchange.start(write_request_head(request.method, path, headers), body)
            return await exchange.forward(head, call_id, upstream.close)
        except BaseException:
            if exchange.answered and request.transport is not None:
                request.transport.abort()
            raise
        finally:
            upstream.close()
            await exchange.stop_upload()


def forwarded_for(request: web.BaseRequest) -> bytes:
    """Whom the client came for, as it says itself, and last its own address, which the audit goes by."""
    told = [*request.headers.getall("X-Forwarded-For", ()), request.remote or ""]
    return ", ".join(told).encode("utf-8", "surrogateescape")
