"""The Python client of a platform: `async with PlatClient() as plat: await plat.deploy("hello", path)`.

Speaks the control API and calls functions. Every failure is a PlatError; one that the platform
answered is a RefusedError, which keeps the status and the call id of the answer.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from plat.administration import (
    AuditEntry,
    AuditPage,
    CreatedToken,
    KeyRotation,
    Secret,
    SecretPage,
    SecretRequest,
    Token,
    TokenPage,
    TokenRequest,
    User,
    UserPage,
    UserRequest,
)
from plat.answers import (
    Answer,
    RefusedError,
    StreamedAnswer,
    UnreachableError,
    raise_if_ours,
    read,
    unreachable,
)
from plat.credentials import find_access
from plat.decoding import UNREADABLE
from plat.errors import PlatError
from plat.model import (
    DecisionList,
    DecisionView,
    Function,
    FunctionPage,
    FunctionSpec,
    Instance,
    InstanceList,
    LiveChange,
    LogLine,
    Version,
    VersionPage,
    is_function_name,
)

CHUNK_BYTES = 256 * 1024
PAGE_ITEMS = 1000
CONNECT_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 60
DEPLOY_TIMEOUT_S = 600
"""From the end of the upload to the answer: the new version's first instance starts in this time."""

_AS_GIVEN = "/?&=%:;,@!$'()*+[]~"
"""What a path and query keep as the caller wrote it: `%2F` stays, a space becomes `%20`."""

NAME_RULE = "a function's name is 1 to 63 lower-case letters, digits and inner hyphens"

T = TypeVar("T")
__all__ = ["Answer", "PlatClient", "RefusedError", "StreamedAnswer", "UnreachableError"]

Versions = list[Version]
Instances = list[Instance]
Decisions = list[DecisionView]
Tokens = list[Token]
Users = list[User]
Secrets = list[Secret]
Audit = list[AuditEntry]
Data = bytes | str | Path | AsyncIterator[bytes] | None
_NO_LIMIT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)


class PlatClient:
    """Give `url` and `token`, or leave them to `PLAT_URL`, `PLAT_TOKEN` and the CLI's config.

    Cancelling any call is safe: its connection is closed.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self.access = find_access(url, token)
        self.url = self.access.url
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._authorization(), timeout=_NO_LIMIT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def list(self) -> list[Function]:
        """Every function, by name."""
        return [function async for function in self._pages("/v1/functions", FunctionPage)]

    async def get(self, name: str) -> Function:
        return await self._call("GET", function_path(name), Function)

    async def put(self, spec: FunctionSpec) -> Function:
        """Create the function, or change it. Code comes with `deploy`."""
        return await self._call("PUT", function_path(spec.name), Function, spec)

    async def delete(self, name: str) -> None:
        async with self._request("DELETE", function_path(name)):
            pass

    async def deploy(
        self, name: str, archive: Path | bytes, uploaded: Callable[[], None] | None = None
    ) -> Version:
        """Send a zip; answers when the new version is live, or `unchanged`.

        `uploaded` is called when the last byte was sent.
        """
        size = archive.stat().st_size if isinstance(archive, Path) else len(archive)
        headers = {"Content-Type": "application/zip", "Content-Length": str(size)}
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=DEPLOY_TIMEOUT_S
        )
        path = function_path(name) + "/versions"
        body = _uploading(archive, uploaded)
        async with self._request("POST", path, data=body, headers=headers, timeout=timeout) as response:
            return await self._decode(response, Version)

    async def versions(self, name: str) -> Versions:
        """Every version, the newest first."""
        return [version async for version in self._pages(function_path(name) + "/versions", VersionPage)]

    async def version(self, name: str, number: int) -> Version:
        return await self._call("GET", f"{function_path(name)}/versions/{number}", Version)

    async def set_live(self, name: str, number: int) -> Function:
        return await self._call("PUT", function_path(name) + "/live", Function, LiveChange(version=number))

    async def scale(
        self,
        name: str,
        minimum: int | None = None,
        maximum: int | None = None,
        pause_after_s: float | None = None,
    ) -> Function:
        """Instances at least and at most, and when an idle one is paused; what is left out stays as it is."""
        change = {"min": minimum, "max": maximum, "pause_after_s": pause_after_s}
        given = {key: value for key, value in change.items() if value is not None}
        return await self._call("PUT", function_path(name) + "/scale", Function, given)

    async def stop(self, name: str) -> Function:
        return await self._call("POST", function_path(name) + "/stop", Function)

    async def start(self, name: str) -> Function:
        return await self._call("POST", function_path(name) + "/start", Function)

    async def instances(self, name: str) -> Instances:
        return (await self._call("GET", function_path(name) + "/instances", InstanceList)).items

    async def decisions(self, name: str) -> Decisions:
        """What was decided about its instances lately, and why; the oldest first."""
        return (await self._call("GET", function_path(name) + "/decisions", DecisionList)).items

    async def logs(self, name: str, tail: int = 100, *, follow: bool = False) -> AsyncIterator[LogLine]:
        """The last `tail` lines, and with `follow` the next ones as they are written, without end."""
        path = f"{function_path(name)}/logs?tail={tail}&follow={'true' if follow else 'false'}"
        async with self._request("GET", path, timeout=_NO_LIMIT) as response:
            async for line in _lines(StreamedAnswer(response).chunks()):
                yield _decoded(line, LogLine, response)

    async def create_token(self, wanted: TokenRequest) -> CreatedToken:
        """The answer is the only one that has the token itself."""
        return await self._call("POST", "/v1/tokens", CreatedToken, wanted)

    async def tokens(self) -> Tokens:
        """Those that this client's token may see, by id."""
        return [token async for token in self._pages("/v1/tokens", TokenPage)]

    async def revoke_token(self, identity: str) -> None:
        async with self._request("DELETE", f"/v1/tokens/{quote(identity, safe='')}"):
            pass

    async def create_user(self, name: str) -> User:
        return await self._call("POST", "/v1/users", User, UserRequest(name=name))

    async def users(self) -> Users:
        return [user async for user in self._pages("/v1/users", UserPage)]

    async def delete_user(self, name: str) -> None:
        """With all that user's tokens."""
        async with self._request("DELETE", f"/v1/users/{quote(name, safe='')}"):
            pass

    async def set_secret(self, name: str, value: str) -> Secret:
        return await self._call("PUT", _secret_path(name), Secret, SecretRequest(value))

    async def secrets(self) -> Secrets:
        """Their names; nothing answers their values."""
        return [secret async for secret in self._pages("/v1/secrets", SecretPage)]

    async def delete_secret(self, name: str) -> None:
        async with self._request("DELETE", _secret_path(name)):
            pass

    async def rotate_secrets(self) -> KeyRotation:
        return await self._call("POST", "/v1/rotate-secrets", KeyRotation)

    async def audit(self, *, limit: int = 100, **filters: str) -> Audit:
        """The newest entries first, at most 1000; filters: function, actor, action, since (ISO 8601)."""
        query = urlencode({"limit": limit, **filters})
        return (await self._call("GET", f"/v1/audit?{query}", AuditPage)).items

    async def invoke(
        self,
        name: str,
        data: Data = None,
        *,
        headers: Mapping[str, str] | None = None,
        path: str = "/",
        method: str | None = None,
        version: int | None = None,
    ) -> Answer:
        """Call a function and read its whole answer, whatever its status.

        Without `method`: GET, or POST with data. Raises RefusedError for an answer of the platform's
        own (no such function, time-out, an exception in the function, ...).
        """
        streamed = self.stream(name, data, headers=headers, path=path, method=method, version=version)
        async with streamed as answer:
            body = b"".join([chunk async for chunk in answer.chunks()])
            return Answer(status=answer.status, headers=answer.headers, body=body)

    @asynccontextmanager
    async def stream(
        self,
        name: str,
        data: Data = None,
        *,
        headers: Mapping[str, str] | None = None,
        path: str = "/",
        method: str | None = None,
        version: int | None = None,
    ) -> AsyncIterator[StreamedAnswer]:
        """Call a function and read its answer as it comes: `async with plat.stream("hello") as answer`."""
        chosen = method or ("GET" if data is None else "POST")
        body = _reading(data) if isinstance(data, Path) else data
        target = call_path(name, path, version)
        async with self._exchange(chosen, target, data=body, headers=headers, timeout=_NO_LIMIT) as response:
            begin = await raise_if_ours(response)
            yield StreamedAnswer(response, begin)

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access.token}"} if self.access.token else {}

    async def _pages(self, path: str, kind: Any) -> AsyncIterator[Any]:
        after: str | None = None
        while True:
            query = f"?limit={PAGE_ITEMS}" + (f"&after={quote(after, safe='')}" if after else "")
            page = await self._call("GET", path + query, kind)
            for item in page.items:
                yield item
            if (after := page.next) is None:
                return

    async def _call(self, method: str, path: str, kind: type[T], body: object = None) -> T:
        data = None if body is None else msgspec.json.encode(body)
        headers = {} if data is None else {"Content-Type": "application/json"}
        async with self._request(method, path, data=data, headers=headers) as response:
            return await self._decode(response, kind)

    async def _decode(self, response: aiohttp.ClientResponse, kind: type[T]) -> T:
        return _decoded(await read(response), kind, response)

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, timeout: aiohttp.ClientTimeout | None = None, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A request to the control API: an answer that is no success is raised."""
        limit = timeout or aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        async with self._exchange(method, path, timeout=limit, **options) as response:
            if response.status >= 300:
                await raise_if_ours(response)
                raise PlatError("internal", f"{response.url} answered {response.status}: is a Plat there?")
            yield response

    @asynccontextmanager
    async def _exchange(
        self, method: str, path: str, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("use the client as: async with PlatClient() as plat")
        try:
            # Redirects are not followed: they are the function's answer, and the token stays here.
            response = await self._session.request(
                method, URL(self.url + path, encoded=True), allow_redirects=False, **options
            )
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise unreachable(error, self.url) from error
        async with response:
            yield response


def function_path(name: str) -> str:
    """Raises PlatError `invalid` for a name that no function can have."""
    if not is_function_name(name):
        raise PlatError("invalid", f'"{name}" cannot be a function: {NAME_RULE}.')
    return f"/v1/functions/{name}"


def _secret_path(name: str) -> str:
    return f"/v1/secrets/{quote(name, safe='')}"


def call_path(name: str, path: str = "/", version: int | None = None) -> str:
    """Where a function is called, below the platform's address."""
    function_path(name)
    qualifier = "" if version is None else f":{version}"
    rest = quote(path if path.startswith(("/", "?")) else f"/{path}", safe=_AS_GIVEN)
    return f"/function/{name}{qualifier}" + ("" if rest == "/" else rest)


async def _reading(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


async def _uploading(archive: Path | bytes, uploaded: Callable[[], None] | None) -> AsyncIterator[bytes]:
    if isinstance(archive, Path):
        async for chunk in _reading(archive):
            yield chunk
    else:
        for start in range(0, len(archive), CHUNK_BYTES):
            yield archive[start : start + CHUNK_BYTES]
    if uploaded is not None:
        uploaded()


def _decoded(data: bytes, kind: type[T], response: aiohttp.ClientResponse) -> T:
    """Raises PlatError `internal` for what no Plat of this version answers."""
    try:
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE as error:
        detail = f"{response.url} did not answer as a Plat of this version does: {error}"
        raise PlatError("internal", detail) from error


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines of any length, without their break."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line
    if rest:
        yield rest
