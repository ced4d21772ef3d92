"""What every aiohttp service of ours does alike: problem answers, call ids, and where it listens."""

import re
import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from aiohttp import ClientSession, UnixConnector, web

from plat.address import Address
from plat.errors import PlatError
from plat.logs import get_logger

log = get_logger(__name__)

CALL_ID_HEADER = "X-Call-Id"
SERVER = "plat"
PROBLEM_CONTENT_TYPE = "application/problem+json"
_CALL_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

_encoder = msgspec.json.Encoder()


def call_id_of(request: web.BaseRequest) -> str:
    """The client's call id if it sent a valid one, else a new one."""
    given = request.headers.get(CALL_ID_HEADER, "")
    return given if _CALL_ID.fullmatch(given) else new_call_id()


def new_call_id() -> str:
    return secrets.token_hex(12)


def problem_headers(error: PlatError, call_id: str) -> dict[str, str]:
    """All headers of a problem answer but its length and the connection's."""
    headers = {"Content-Type": PROBLEM_CONTENT_TYPE, CALL_ID_HEADER: call_id, "Server": SERVER}
    if error.retry_after is not None:
        headers["Retry-After"] = error.retry_after
    headers.update(error.headers)
    if error.status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="plat"')
    return headers


def problem_body(error: PlatError, call_id: str) -> bytes:
    return _encoder.encode(error.problem(call_id))


def problem_response(error: PlatError, call_id: str) -> web.Response:
    headers = problem_headers(error, call_id)
    return web.Response(status=error.status, body=problem_body(error, call_id), headers=headers)


def json_response(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=_encoder.encode(value), content_type="application/json")


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into a problem answer, and put the call id on every answer."""
    call_id = call_id_of(request)
    try:
        response = await handler(request)
    except PlatError as error:
        return problem_response(error, call_id)
    except web.HTTPException as error:
        answer = problem_response(_from_aiohttp(error, request), call_id)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except Exception as error:
        return problem_response(_from_unexpected(error, request), call_id)
    if not response.prepared:
        response.headers[CALL_ID_HEADER] = call_id
    return response


def _from_aiohttp(error: web.HTTPException, request: web.Request) -> PlatError:
    match error.status:
        case 404:
            return PlatError("not_found", f"{request.path} is no page of this service.")
        case 405:
            allowed = ", ".join(sorted(getattr(error, "allowed_methods", ())))
            return PlatError("method_not_allowed", f"{request.method} {request.path}: allowed are {allowed}.")
        case 413:
            return PlatError("body_too_large", f"The body is over the limit of {request.path}.")
        case status if status < 500:
            return PlatError("bad_request", error.text or error.reason)
        case _:
            return _from_unexpected(error, request)


def _from_unexpected(error: Exception, request: web.Request) -> PlatError:
    if (known := translate(error)) is not None:
        log.warning("request failed", method=request.method, path=request.path, detail=known.detail)
        return known
    log.error("request failed", method=request.method, path=request.path, exc_info=error)
    return PlatError("internal", "An unexpected error; the service's log has it under this call id.")


def translate(error: BaseException) -> PlatError | None:
    """Errors of the machine that a user can do something about, wherever they surface."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (28, 122):  # ENOSPC, EDQUOT
            return PlatError("disk_full", f"{cause}. Free some space and try again; nothing was changed.")
        if isinstance(cause, sqlite3.OperationalError):
            if "locked" in str(cause):
                return PlatError("database_busy", f"{cause}. Try again.", retry_after_s=1)
            if "full" in str(cause):
                return PlatError("disk_full", f"{cause}. Free some space and try again.")
        cause = cause.__cause__ or cause.__context__
    return None


def session_for(address: Address) -> ClientSession:
    """A client session whose paths (`/feed`) are those of the service at `address`."""
    if address.path:
        return ClientSession("http://service", connector=UnixConnector(address.path))
    return ClientSession(f"http://{address.host}:{address.port}")


class _Runner(web.AppRunner):
    """Removes its socket file at the end, unless another process listens at that path by now."""

    _socket: tuple[Path, int] | None = None

    async def listen_at(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        await web.UnixSite(self, str(path)).start()
        path.chmod(0o600)
        self._socket = (path, path.stat().st_ino)

    async def cleanup(self) -> None:
        await super().cleanup()
        if self._socket is not None:
            path, inode = self._socket
            if path.exists() and path.stat().st_ino == inode:
                path.unlink()


async def start_site(
    app: web.Application, address: Address, *, cancel_handlers: bool = False
) -> web.AppRunner:
    """Serve `app` at `address`; a stale socket file of a killed process is replaced.

    With `cancel_handlers`, a handler is cancelled when its client goes away. The caller ends it with
    `await runner.cleanup()`, which also removes the socket file.
    """
    runner = _Runner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=1,
        handler_cancellation=cancel_handlers,
    )
    await runner.setup()
    if address.path:
        await runner.listen_at(Path(address.path))
    else:
        await web.TCPSite(runner, address.host, address.port).start()
    return runner
