"""What a platform answered, and how an answer that says no becomes an error.

Knows no address and no path of the API: `plat.client` does.
"""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
from multidict import CIMultiDictProxy

from plat.decoding import UNREADABLE
from plat.errors import PROBLEM_TYPE_PREFIX, PlatError
from plat.model import Problem

PROBLEM_CONTENT_TYPE = "application/problem+json"


class UnreachableError(PlatError):
    """Nothing answers at the platform's address, or the connection broke."""


class RefusedError(PlatError):
    """The platform answered with a problem, kept in `answer` as it came."""

    def __init__(self, answer: Problem) -> None:
        known = PlatError.from_problem(answer)
        super().__init__(known.code, answer.detail, reason=answer.reason, traceback=answer.traceback)
        self.answer = answer

    @property
    def status(self) -> int:
        return self.answer.status


class Answer(msgspec.Struct, frozen=True):
    """A function's whole answer."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class StreamedAnswer:
    """A function's answer whose body is still on its way."""

    def __init__(self, response: aiohttp.ClientResponse, begin: bytes = b"") -> None:
        self._response = response
        self._begin = begin
        self.status = response.status
        self.headers = response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises UnreachableError if it ends before its end."""
        if self._begin:
            yield self._begin
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(error, str(self._response.url)) from error


def unreachable(error: Exception, url: str) -> PlatError:
    match error:
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | ValueError():
            return PlatError("invalid", f'"{url}" is not an address like http://127.0.0.1:8080.')
        case aiohttp.ClientConnectorError():
            return UnreachableError("control_unavailable", f"Nothing answers at {url}: is `plat up` running?")
        case TimeoutError():
            return UnreachableError("control_unavailable", f"{url} did not answer in time.")
        case _:
            return UnreachableError("control_unavailable", f"The connection to {url} broke: {error}.")


async def read(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise unreachable(error, str(response.url)) from error


async def raise_if_ours(response: aiohttp.ClientResponse) -> bytes:
    """Raise what the platform answered. A function's own answer, also a problem, is left alone.

    Returns what had to be read of the body to tell.
    """
    if response.status < 400 or response.content_type != PROBLEM_CONTENT_TYPE:
        return b""
    body = await read(response)
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except UNREADABLE:
        return body
    if not problem.type.startswith(PROBLEM_TYPE_PREFIX):
        return body
    raise RefusedError(problem)
