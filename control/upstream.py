"""The clients of the builder and the pool. A service that is away is an error that names it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import aiohttp
import msgspec

from plat.address import Address
from plat.decoding import UNREADABLE
from plat.errors import PlatError
from plat.feed import VersionEntry
from plat.model import Artifact, DecisionList, InstanceList, Problem
from plat.web import PROBLEM_CONTENT_TYPE, session_for

CONNECT_S = 5
ANSWER_S = 10
VERIFY_GRACE_S = 60
"""What a verification may take beyond the start of an instance: fetching and unpacking the code."""

T = TypeVar("T")


class Upload:
    """A client's body on its way through: remembers whether it was the client that failed."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.error: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                yield chunk
        except Exception as error:
            self.error = error
            raise


class Service:
    """One upstream service. Cancelling any call closes its connection."""

    def __init__(self, name: str, address: Address) -> None:
        self._name = name
        self._address = address
        self._session = session_for(address)

    async def close(self) -> None:
        await self._session.close()

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, *, timeout: aiohttp.ClientTimeout, **options: object
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Raises PlatError: what the service answered as a problem, or `<name>_unavailable`."""
        try:
            async with self._session.request(method, path, timeout=timeout, **options) as response:  # type: ignore[arg-type]
                if response.status >= 400:
                    raise await self._refusal(response)
                yield response
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from error

    async def _refusal(self, response: aiohttp.ClientResponse) -> PlatError:
        body = await response.read()
        if response.content_type == PROBLEM_CONTENT_TYPE:
            try:
                problem = msgspec.json.decode(body, type=Problem)
                return PlatError.from_problem(problem, response.headers.get("Retry-After"))
            except UNREADABLE:
                pass
        return PlatError(
            f"{self._name}_unavailable", f"The {self._name} answered {response.status} without a reason."
        )

    def _unavailable(self, error: Exception) -> PlatError:
        why = str(error) or type(error).__name__
        detail = f"The {self._name} at {self._address} does not answer: {why}. Try again soon."
        return PlatError(f"{self._name}_unavailable", detail, retry_after_s=1)

    async def _decode(self, response: aiohttp.ClientResponse, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(await response.read(), type=kind)
        except UNREADABLE as error:
            raise self._unavailable(error) from error


class Builder(Service):
    def __init__(self, address: Address) -> None:
        super().__init__("builder", address)

    async def build(self, upload: Upload, length: int | None) -> Artifact:
        """Raises PlatError: `invalid_archive`, `body_too_large`, `builder_unavailable`."""
        headers = {"Content-Type": "application/zip"}
        if length is not None:
            headers["Content-Length"] = str(length)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        try:
            async with self._request(
                "POST", "/artifacts", timeout=timeout, data=aiter(upload), headers=headers
            ) as response:
                return await self._decode(response, Artifact)
        except PlatError:
            if upload.error is not None:
                raise upload.error from None
            raise


class Pool(Service):
    def __init__(self, address: Address, start_timeout_s: float) -> None:
        super().__init__("pool", address)
        self._verify_timeout = aiohttp.ClientTimeout(
            total=start_timeout_s + VERIFY_GRACE_S, sock_connect=CONNECT_S
        )

    async def verify(self, version: VersionEntry) -> None:
        """Returns when an instance of it became ready. Raises PlatError with the pool's code."""
        headers = {"Content-Type": "application/json"}
        body = msgspec.json.encode(version)
        async with self._request(
            "POST", "/verify", timeout=self._verify_timeout, data=body, headers=headers
        ) as response:
            await response.read()

    async def instances(self, function: str) -> InstanceList:
        return await self._ask("/instances", function, InstanceList)

    async def decisions(self, function: str) -> DecisionList:
        return await self._ask("/decisions", function, DecisionList)

    async def _ask(self, page: str, function: str, kind: type[T]) -> T:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with self._request("GET", page, timeout=timeout, params={"function": function}) as response:
            return await self._decode(response, kind)

    @asynccontextmanager
    async def logs(self, function: str, *, tail: int, follow: bool) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines as they come, in pieces of any size. Raises PlatError also from the iteration."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        query = {"function": function, "tail": str(tail), "follow": str(follow).lower()}
        async with self._request("GET", "/logs", timeout=timeout, params=query) as response:
            yield self._pieces(response)

    async def _pieces(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        try:
            async for piece in response.content.iter_any():
                yield piece
        except (aiohttp.ClientError, OSError) as error:
            raise self._unavailable(error) from error
