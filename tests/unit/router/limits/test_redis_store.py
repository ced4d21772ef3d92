"""Which Redis a URL means, and how a request to the script reads."""

import pytest
from redis.asyncio import Redis, RedisCluster

from plat.leasing import Answer, Ask
from router.limits.leases import StoreError
from router.limits.redis_store import arguments, client_of, read_answers


@pytest.mark.parametrize(
    ("url", "host", "port", "password", "database"),
    [
        ("redis://example.org", "example.org", 6379, None, 0),
        ("redis://:secret@example.org:7000/3", "example.org", 7000, "secret", 3),
        ("rediss://me:secret@example.org:7000", "example.org", 7000, "secret", 0),
    ],
)
def test_one_server(url: str, host: str, port: int, password: str | None, database: int) -> None:
    client = client_of(url)
    assert isinstance(client, Redis)
    given = client.connection_pool.connection_kwargs
    assert (given["host"], given.get("port", 6379), given.get("password")) == (host, port, password)
    assert given.get("db", 0) == database


def test_a_socket() -> None:
    client = client_of("unix://:secret@/run/redis.sock")
    assert isinstance(client, Redis)
    given = client.connection_pool.connection_kwargs
    assert (given["path"], given["password"]) == ("/run/redis.sock", "secret")


def test_sentinels() -> None:
    client = client_of("redis+sentinel://:secret@one,two:7000/main/2?sentinel_password=other")
    assert isinstance(client, Redis)
    pool = client.connection_pool
    assert pool.service_name == "main"  # type: ignore[attr-defined]
    sentinels = pool.sentinel_manager.sentinels  # type: ignore[attr-defined]
    hosts = [each.connection_pool.connection_kwargs for each in sentinels]
    assert [(each["host"], each["port"]) for each in hosts] == [("one", 26379), ("two", 7000)]
    assert {each["password"] for each in hosts} == {"other"}
    assert pool.connection_kwargs["password"] == "secret"
    assert pool.connection_kwargs["db"] == 2


@pytest.mark.parametrize("scheme", ["redis+cluster", "rediss+cluster"])
def test_a_cluster(scheme: str) -> None:
    client = client_of(f"{scheme}://:secret@one:7000,two")
    assert isinstance(client, RedisCluster)
    nodes = client.nodes_manager.startup_nodes.values()
    assert sorted((node.host, node.port) for node in nodes) == [("one", 7000), ("two", 6379)]
    assert {node.connection_kwargs["password"] for node in nodes} == {"secret"}


@pytest.mark.parametrize("start", ["redis://one", "redis+sentinel://one/main", "redis+cluster://one"])
def test_options_of_the_url_take_the_place_of_ours(start: str) -> None:
    client = client_of(f"{start}?socket_timeout=0.25")
    if isinstance(client, RedisCluster):
        given = next(iter(client.nodes_manager.startup_nodes.values())).connection_kwargs
    else:
        given = client.connection_pool.connection_kwargs
    assert given["socket_timeout"] == 0.25
    with pytest.raises(StoreError, match="nonsense"):
        client_of(f"{start}?nonsense=1")


@pytest.mark.parametrize(
    "url",
    ["", "example.org", "http://example.org", "redis://host:port", "redis+sentinel://one,two", "redis+x://a"],
)
def test_what_is_none(url: str) -> None:
    with pytest.raises(StoreError):
        client_of(url)


def test_what_the_script_is_told_and_says() -> None:
    ask = Ask("k", 0.5, 10, 3, 1, 2, 0.25, 7.0, True)
    assert arguments("me", 4, [ask]) == ["me", "4", "2.0", "0.5", "10", "3", "1", "2", "0.25", "7.0", "1"]
    assert read_answers([b"5", b"2.5", b"0", b"0", b"-1", b"0", b"0", b"0"]) == [
        Answer(5, 2.5, 0.0, 0.0),
        Answer(-1, 0.0, 0.0, 0.0),
    ]
