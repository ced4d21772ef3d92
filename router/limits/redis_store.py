"""Leases from Redis: `lease.lua` for all buckets of a tick at once. Any Redis: alone, Sentinel, Cluster.

All keys have one hash tag, so that in a Cluster they are at one place, and one call can reach them.
"""

import asyncio
from collections.abc import Iterable
from hashlib import sha1
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from plat.leasing import LEASE_TTL_S, Answer, Ask
from plat.tasks import apart
from router.limits.leases import TIMEOUT_S, StoreError

PREFIX = "{plat}:lease:"
MEMORY = PREFIX + "memory"
"""The key that says since when this Redis remembers."""

STEP_TIMEOUT_S = TIMEOUT_S * 0.8
"""Sooner than whoever asks gives up: so the client itself notices, and asks the next Sentinel, or for the
nodes of the Cluster anew."""

BUCKETS_A_CALL = 200
"""A script stops all others: so many buckets take it about 5 ms."""

SCRIPT = (Path(__file__).parent / "lease.lua").read_text()
_SHA = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")

_SENTINEL_PORT = 26379
_REDIS_PORT = 6379

Client = Redis | RedisCluster


class RedisStore:
    """Connects with the first request, and again whenever the connection has ended."""

    def __init__(self, url: str) -> None:
        self._client = client_of(url)

    async def open(self) -> None:
        """The first request does."""

    async def lease(self, router: str, number: int, asks: list[Ask]) -> list[Answer]:
        """Raises StoreError."""
        calls = []
        for start in range(0, max(1, len(asks)), BUCKETS_A_CALL):
            part = asks[start : start + BUCKETS_A_CALL]
            keys = [MEMORY, *(PREFIX + ask.key for ask in part)]
            calls.append([len(keys), *keys, *arguments(router, number, part)])
        try:
            results = await apart(self._run(calls), "request to Redis")
        except (RedisError, OSError, asyncio.IncompleteReadError) as error:
            raise StoreError(f"Redis: {error}") from error
        return [answer for values in results for answer in read_answers(values)]

    async def close(self) -> None:
        await close_client(self._client)

    async def _run(self, calls: list[list[Any]]) -> list[list[bytes]]:
        """A request that a server hears twice is known by its number the second time."""
        results = await self._send("EVALSHA", _SHA, calls)
        unknown = [place for place, result in enumerate(results) if isinstance(result, NoScriptError)]
        if unknown:
            heard = await self._send("EVAL", SCRIPT, [calls[place] for place in unknown])
            for place, result in zip(unknown, heard, strict=True):
                results[place] = result
        for result in results:
            if isinstance(result, Exception):
                raise result
        return results

    async def _send(self, command: str, script: str, calls: list[list[Any]]) -> list[Any]:
        """In one round trip, but not as one: others have their turn between two calls."""
        client: Any = self._client
        pipeline = client.pipeline(transaction=False)
        for given in calls:
            pipeline.execute_command(command, script, *given)
        return list(await pipeline.execute(raise_on_error=False))


def arguments(router: str, number: int, asks: Iterable[Ask]) -> list[str]:
    """ARGV of the script."""
    given = [router, str(number), repr(LEASE_TTL_S)]
    for ask in asks:
        numbers = (ask.rate, ask.burst, ask.held, ask.returned, ask.want, ask.spent_ago_s, ask.known_s)
        given += [*map(repr, numbers), "1" if ask.unpaid else "0"]
    return given


def read_answers(values: list[bytes]) -> list[Answer]:
    numbers = [float(value) for value in values]
    return [
        Answer(int(numbers[i]), numbers[i + 1], numbers[i + 2], numbers[i + 3])
        for i in range(0, len(numbers), 4)
    ]


def client_of(url: str) -> Client:
    """A client that has not connected yet. Raises StoreError for a URL that is none of Redis."""
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        raise StoreError(f"redis_url begins with {scheme!r}: expected one of {', '.join(SCHEMES)}")
    options: dict[str, Any] = {
        "socket_timeout": STEP_TIMEOUT_S,
        "socket_connect_timeout": STEP_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
    }
    try:
        match scheme.partition("+")[2]:
            case "sentinel":
                client = _by_sentinel(url, options)
            case "cluster":
                return _by_cluster(url, options)
            case _:
                client = Redis.from_url(url, **options)
        # Raises TypeError for an option that there is not.
        client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        return client
    except (ValueError, TypeError) as error:
        raise StoreError(f"redis_url cannot be read: {error}") from error


async def close_client(client: Client) -> None:
    """And what it leaves open."""
    closing: Any = client
    await closing.aclose()
    if isinstance(client, RedisCluster):
        for node in client.nodes_manager.startup_nodes.values():
            await node.disconnect()
    elif (sentinels := getattr(client.connection_pool, "sentinel_manager", None)) is not None:
        for each in sentinels.sentinels:  # clients of their own, which nobody else closes
            await each.aclose()


def _by_sentinel(url: str, options: dict[str, Any]) -> Redis:
    """`redis+sentinel://[user:password@]host[:port],.../service[/db][?sentinel_password=...]`"""
    hosts, path, given = _several(url, _SENTINEL_PORT)
    service, _, database = path.partition("/")
    if not service:
        raise ValueError("the path names no service: redis+sentinel://host1,host2/service")
    sentinel_password = given.pop("sentinel_password", None)
    tls = {name: value for name, value in given.items() if name.startswith("ssl")}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        hosts, sentinel_kwargs={**options, **tls, "password": sentinel_password}, **{**options, **given}
    )
    client: Redis = sentinel.master_for(service, db=int(database or 0))
    return client


def _by_cluster(url: str, options: dict[str, Any]) -> RedisCluster:
    """`redis+cluster://[user:password@]host[:port],...`: any of its nodes."""
    hosts, _, given = _several(url, _REDIS_PORT)
    given.pop("connection_class", None)
    return RedisCluster(startup_nodes=[ClusterNode(*each) for each in hosts], **{**options, **given})


def _several(url: str, default_port: int) -> tuple[list[tuple[str, int]], str, dict[str, Any]]:
    """Hosts, path, and the options of the URL as redis reads them."""
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    first = f"{credentials}@localhost" if credentials else "localhost"
    sentinel = parse_qs(parts.query).get("sentinel_password")
    query = "&".join(each for each in parts.query.split("&") if not each.startswith("sentinel_password="))
    given = dict(parse_url(urlunsplit((parts.scheme.partition("+")[0], first, "", query, ""))))
    for name in ("host", "port", "db"):
        given.pop(name, None)
    if given.pop("connection_class", None) is not None:
        given["ssl"] = True
    if sentinel:
        given["sentinel_password"] = sentinel[0]
    return [_host(each, default_port) for each in hosts.split(",")], parts.path.strip("/"), given


def _host(text: str, default_port: int) -> tuple[str, int]:
    parsed = urlsplit(f"//{text}")
    if not parsed.hostname:
        raise ValueError(f"{text!r} names no host")
    return parsed.hostname, parsed.port or default_port
