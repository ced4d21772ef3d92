"""What reaches the instance, and what reaches the client: byte for byte."""

import pytest

from plat.feed import TokenPut
from tests.integration.router.conftest import RouterProcess, RunInstance, get, post
from tests.integration.router.instances import says
from tests.integration.router.pool_server import TOKEN, PoolServer, route, token_entry

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT"]


@pytest.mark.parametrize("method", METHODS)
async def test_every_method(router: RouterProcess, run_instance: RunInstance, method: str) -> None:
    instance = await run_instance()
    answer = await router.call(post(b"abc").replace(b"POST", method.encode(), 1))
    assert (answer.status, answer.body) == (200, b"ok")
    assert instance.requests[0].method == method.encode()
    assert instance.requests[0].body == b"abc"


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        ("/function/f", b"/"),
        ("/function/f/", b"/"),
        ("/function/f?", b"/?"),
        ("/function/f/a//b/?x=1&x=2&y", b"/a//b/?x=1&x=2&y"),
        ("/function/f/%2F%2e%2E%00/%zz?%26=%3D&+%20", b"/%2F%2e%2E%00/%zz?%26=%3D&+%20"),
        ("/function/f/../../v1/functions", b"/../../v1/functions"),
        ("/function/f/a?b=/function/f?c", b"/a?b=/function/f?c"),
        ("/function/f;p=1/x;y", None),
        ("/function/f:1/x", b"/x"),
        ("http://example.org/function/f/x?y", b"/x?y"),
        ('/function/f/{}|\\^`"<>', b'/{}|\\^`"<>'),
    ],
)
async def test_targets_as_they_came(
    router: RouterProcess, run_instance: RunInstance, target: str, seen: bytes | None
) -> None:
    instance = await run_instance()
    answer = await router.get(target)
    assert answer.status == (200 if seen else 404)
    assert [request.target for request in instance.requests] == ([seen] if seen else [])


async def test_headers_of_the_request(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance()
    await router.get(
        "/function/f/x",
        "X-Twice: 1",
        "x-twice: 2",
        "Cookie: a=1; b=2",
        "Accept-Encoding: gzip, br",
        "X-Latin: caf\xe9",
        "X-Empty:",
        "User-Agent: test",
        "Connection: keep-alive, X-Mine",
        "X-Mine: hop by hop",
        "Keep-Alive: timeout=5",
        "Proxy-Authorization: x",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
        "Upgrade: h2c",
    )
    (request,) = instance.requests
    assert request.get("Host") == "example.org"
    assert request.all("X-Twice") == ["1", "2"]
    assert request.get("Cookie") == "a=1; b=2"
    assert request.get("Accept-Encoding") == "gzip, br"
    assert request.get("X-Latin") == "caf\xe9"
    assert request.get("X-Empty") == ""
    assert request.get("User-Agent") == "test"
    for gone in ("Connection", "X-Mine", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "TE"):
        assert request.all(gone) == []
    assert request.all("Upgrade") == []
    assert request.all("Content-Length") == []
    assert request.all("Transfer-Encoding") == []


async def test_headers_that_the_platform_sets(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance()
    answer = await router.get(
        "/function/f:1/x",
        "X-Forwarded-For: 10.0.0.1",
        "X-Forwarded-Host: lie",
        "X-Forwarded-Proto: lie",
        "X-Forwarded-Prefix: /lie",
        "X-Deadline-Ms: 1",
    )
    (request,) = instance.requests
    assert request.get("X-Forwarded-For") == "10.0.0.1, 127.0.0.1"
    assert request.get("X-Forwarded-Host") == "example.org"
    assert request.get("X-Forwarded-Proto") == "http"
    assert request.get("X-Forwarded-Prefix") == "/function/f:1"
    assert int(request.get("X-Deadline-Ms") or 0) > 1_700_000_000_000
    assert request.get("X-Call-Id") == answer.get("X-Call-Id")


async def test_no_client_header_can_remove_those_of_the_platform(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    instance = await run_instance()
    names = "X-Call-Id, X-Deadline-Ms, X-Forwarded-For, Host, Content-Length"
    await router.call(post(b"abc", "/function/f", f"Connection: {names}"))
    (request,) = instance.requests
    for name in names.split(", "):
        assert request.get(name)
    assert request.body == b"abc"


@pytest.mark.parametrize("call_id", ["abc", "A.b:c_d-9", "x" * 128])
async def test_a_valid_call_id_is_kept(
    router: RouterProcess, run_instance: RunInstance, call_id: str
) -> None:
    instance = await run_instance()
    answer = await router.get("/function/f", f"X-Call-Id: {call_id}")
    assert answer.get("X-Call-Id") == call_id
    assert instance.requests[0].get("X-Call-Id") == call_id


@pytest.mark.parametrize("call_id", ["", "a b", "a/b", "x" * 129, "\xe9", "a,b"])
async def test_an_invalid_call_id_is_replaced(
    router: RouterProcess, run_instance: RunInstance, call_id: str
) -> None:
    instance = await run_instance(says(b"HTTP/1.1 200 OK\r\nX-Call-Id: theirs\r\nContent-Length: 0\r\n\r\n"))
    answer = await router.get("/function/f", f"X-Call-Id: {call_id}")
    ours = answer.get("X-Call-Id")
    assert ours
    assert ours not in (call_id, "theirs")
    assert instance.requests[0].get("X-Call-Id") == ours


async def test_the_platforms_token_stays_here(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    await pool.put(route(auth="token"))
    instance = await run_instance()
    assert (await router.get("/function/f")).status == 401
    wrong = await router.get("/function/f", "Authorization: Bearer wrong")
    assert wrong.status == 401
    assert wrong.get("WWW-Authenticate") == 'Bearer realm="plat"'
    assert wrong.get("Content-Type") == "application/problem+json"
    assert not instance.requests
    assert (await router.get("/function/f", f"Authorization: Bearer {TOKEN}")).status == 200
    assert instance.requests[0].all("Authorization") == []


async def test_a_public_function_does_its_own_authorization(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    instance = await run_instance()
    await router.get("/function/f", "Authorization: Basic abc")
    assert instance.requests[0].get("Authorization") == "Basic abc"


OTHERS = ["Basic abc", "Bearer of-somebody-else", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.plat_", "Digest a=b, c=d"]
OURS = [
    f"Bearer {TOKEN}",
    f"bearer  {TOKEN}",
    f"Token {TOKEN}",
    TOKEN,
    "Bearer plat_revoked",
    "Token plat_x",
    "plat_x",
]


@pytest.mark.parametrize("more", [(), ("Transfer-Encoding: chunked",)], ids=["small", "chunked"])
async def test_no_function_sees_a_token_of_the_platforms(
    router: RouterProcess, run_instance: RunInstance, more: tuple[str, ...]
) -> None:
    """The CLI and the client send theirs with every call, and any deployer could collect them."""
    instance = await run_instance()
    seen: list[str | None] = []
    for authorization in [*OURS, *OTHERS] * 2:
        request = get("/function/f", f"Authorization: {authorization}", *more)
        answer = await router.call(request + b"0\r\n\r\n" if more else request)
        assert answer.status == 200
        seen.append(instance.requests[-1].get("Authorization"))
    assert seen == [*[None] * len(OURS), *OTHERS] * 2


async def test_a_token_of_any_characters_is_known(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    """As aiohttp reads it, and our clients send it: `PLAT_TOKEN` may be anything."""
    await pool.send(TokenPut(token_entry("caf\xe9")))
    await pool.put(route("g", auth="token"), route("f"))
    instance = await run_instance()
    header = "Authorization: Bearer " + "caf\xe9".encode().decode("latin-1")
    assert (await router.get("/function/f", header)).status == 200
    assert instance.requests[0].get("Authorization") is None


async def test_a_token_that_is_heard_of_later_is_not_seen_either(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(get("/function/f", "Authorization: Bearer new"))
    await wire.answer()
    assert instance.requests[-1].get("Authorization") == "Bearer new"
    await pool.send(TokenPut(token_entry("new")))
    await pool.put(route("g", auth="token"))
    assert (await router.get("/function/g")).status == 401  # what came before it has been heard
    await wire.send(get("/function/f", "Authorization: Bearer new"))
    await wire.answer()
    assert instance.requests[-1].get("Authorization") is None


async def test_headers_of_the_answer(router: RouterProcess, run_instance: RunInstance) -> None:
    await run_instance(
        says(
            b"HTTP/1.1 418 I am a caf\xe9\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-Latin: \xe9\r\n"
            b"Connection: x-mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nServer: theirs\r\n"
            b"Content-Length: 2\r\n\r\nhi"
        )
    )
    answer = await router.get()
    assert answer.start == b"HTTP/1.1 418 I am a caf\xe9"
    assert answer.all("Set-Cookie") == ["a=1", "b=2"]
    assert answer.get("X-Latin") == "\xe9"
    assert answer.get("Server") == "theirs"
    assert answer.get("Content-Length") == "2"
    for gone in ("X-Mine", "Keep-Alive", "Connection"):
        assert answer.all(gone) == []
    assert answer.body == b"hi"


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1_000_000])
async def test_binary_bodies_both_ways(router: RouterProcess, run_instance: RunInstance, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    instance = await run_instance(says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + content))
    answer = await router.call(post(content))
    assert instance.requests[0].get("Content-Length") == str(size)
    assert instance.requests[0].body == content
    assert answer.body == content


async def test_chunked_both_ways(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance(
        says(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
            b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
        )
    )
    request = get("/function/f", "Transfer-Encoding: chunked").replace(b"GET", b"POST", 1)
    answer = await router.call(request + b"3;x=y\r\nabc\r\n0004\r\ndefg\r\n0\r\nX-Trailer: 1\r\n\r\n")
    assert instance.requests[0].get("Transfer-Encoding") == "chunked"
    assert instance.requests[0].body == b"abcdefg"
    assert answer.get("Transfer-Encoding") == "chunked"
    assert answer.body == b"abcde"


async def test_many_calls_over_one_connection_each(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance()
    wire = await router.connect()
    for number in range(50):
        await wire.send(post(b"x" * number))
        assert (await wire.answer()).body == b"ok"
    await wire.close()
    assert instance.connections == 1
    assert [len(request.body) for request in instance.requests] == list(range(50))


async def test_pipelined_calls_are_answered_in_order(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(b"".join(get(f"/function/f/{number}") for number in range(20)))
    for _ in range(20):
        assert (await wire.answer()).status == 200
    await wire.close()
    assert [request.target for request in instance.requests] == [b"/%d" % number for number in range(20)]
    assert instance.most_in_call == 1
