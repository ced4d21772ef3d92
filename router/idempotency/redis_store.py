"""Idempotency keys in Redis: one call of `idempotency.lua` a request. Any Redis: alone, Sentinel, Cluster.

A key and the mark of the memory it is in have one hash tag, so that in a Cluster they are at one place; there
are enough tags for keys to be spread over all nodes.
"""

import asyncio
from hashlib import sha1
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from plat.idempotency import LEASE_S, Begin, Claim, Finish, Release, Renew, Request, State, Verdict
from plat.tasks import apart
from router.limits.leases import StoreError
from router.limits.redis_store import client_of, close_client

TAGS = 64
"""Each with a memory of its own."""

CONNECTIONS = 32
"""Requests at a time, each on a connection of its own."""

SCRIPT = (Path(__file__).parent / "idempotency.lua").read_text()
_SHA = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


class RedisKeys:
    """Connects with the first request, and again whenever a connection has ended."""

    def __init__(self, url: str) -> None:
        self._client = client_of(url)
        self._turns = asyncio.Semaphore(CONNECTIONS)

    async def open(self) -> None:
        """Every memory begins, if it has not yet: what it holds back it holds back from now on."""
        begin = ["open", "", "", LEASE_S, 0, b""]
        await asyncio.gather(*(self._run(_prefix(number), "memory", begin) for number in range(TAGS)))

    async def ask(self, request: Request) -> Verdict:
        """Raises StoreError."""
        prefix = _prefix(int(request.key[:8], 16) % TAGS)
        return read_verdict(await self._run(prefix, request.key, arguments(request)))

    async def close(self) -> None:
        await close_client(self._client)

    async def _run(self, prefix: str, key: str, given: list[Any]) -> list[bytes]:
        keys = [f"{prefix}memory", f"{prefix}{key}"]
        async with self._turns:
            try:
                return await apart(self._call(keys, given), "request to Redis")
            except (RedisError, OSError, asyncio.IncompleteReadError) as error:
                raise StoreError(f"Redis: {error}") from error

    async def _call(self, keys: list[str], given: list[Any]) -> list[bytes]:
        client: Any = self._client
        try:
            return list(await client.evalsha(_SHA, len(keys), *keys, *given))
        except NoScriptError:
            return list(await client.eval(SCRIPT, len(keys), *keys, *given))


def _prefix(number: int) -> str:
    return f"{{plat:key:{number}}}:"


def arguments(request: Request) -> list[Any]:
    """ARGV of the script."""
    match request:
        case Claim(_, token, fingerprint):
            return ["claim", token, fingerprint, LEASE_S, 0, b""]
        case Begin(_, token, keep_s):
            return ["begin", token, "", LEASE_S, keep_s, b""]
        case Renew(_, token, fingerprint, begun, keep_s):
            return ["renew", token, fingerprint, LEASE_S, keep_s, b"1" if begun else b"0"]
        case Finish(_, token, fingerprint, answer, keep_s):
            return ["finish", token, fingerprint, LEASE_S, keep_s, answer]
        case Release(_, token):
            return ["release", token, "", LEASE_S, 0, b""]


def read_verdict(values: list[bytes]) -> Verdict:
    state, fingerprint, answer = values
    return Verdict(State(state.decode()), fingerprint.decode(), answer)
