"""Signed calls on either path, byte by byte: nothing of them reaches an instance before they are verified."""

import asyncio
import gzip
import hmac
import time

import msgspec
import pytest

from plat.feed import Route
from plat.signing import Signing
from tests.integration.router.conftest import RouterProcess, RunInstance, RunRouter, post
from tests.integration.router.pool_server import TOKEN, PoolServer, route
from tests.integration.router.test_faults import problem
from tests.integration.router.wire import Message

KEY, NEXT = b"a-key", b"the-next-key"
BODY = b'{"a": "\xc3\xa9"}\r\n'
CHUNKED = "Transfer-Encoding: chunked"


def signed(*keys: bytes, algorithm: str = "sha256", rate: float | None = None) -> Route:
    plain = route(auth="signed", rate=rate, burst=1 if rate else None)
    return msgspec.structs.replace(plain, signing=Signing("X-Signature", algorithm, keys))


@pytest.fixture(autouse=True)
async def webhook(pool: PoolServer) -> None:
    pool.routes["f"] = signed(KEY)


def header(body: bytes, key: bytes = KEY) -> str:
    return "X-Signature: sha256=" + hmac.digest(key, body, "sha256").hex()


def chunked(*pieces: bytes, headers: tuple[str, ...]) -> bytes:
    head = "\r\n".join(["POST /function/f HTTP/1.1", "Host: x", CHUNKED, *headers, "", ""]).encode("latin-1")
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def refused(answer: Message) -> tuple[int, str, str | None]:
    told = problem(answer)
    return answer.status, told.code, told.reason


async def test_a_signed_call_comes_as_it_was_sent(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance()
    wire = await router.connect()
    for _ in range(2):
        await wire.send(post(BODY, "/function/f/hook?a=b", header(BODY), "Authorization: Basic abc"))
        assert (await wire.answer()).status == 200
    for request in instance.requests:
        assert (request.target, request.body) == (b"/hook?a=b", BODY)
        assert request.get("X-Signature") == header(BODY).partition(": ")[2]
        assert request.get("Authorization") == "Basic abc"


async def test_in_chunks_it_is_the_same_body(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance()
    pieces = [BODY[:1], BODY[1:], b"x" * 200_000]
    body = b"".join(pieces)
    assert (await router.call(chunked(*pieces, headers=(header(body),)))).status == 200
    assert instance.requests[0].body == body
    assert refused(await router.call(chunked(*pieces, headers=(header(pieces[0]),))))[0] == 401


async def test_the_bytes_that_were_sent_are_signed(router: RouterProcess, run_instance: RunInstance) -> None:
    """Not what they decode to: nobody here decodes them."""
    instance = await run_instance()
    packed = gzip.compress(BODY)
    assert (
        await router.call(post(packed, "/function/f", "Content-Encoding: gzip", header(packed)))
    ).status == 200
    assert instance.requests[0].body == packed
    for body, of in (
        (packed, BODY),
        (BODY, BODY.decode().encode("utf-16")),
        (BODY, BODY.replace(b"\r\n", b"\n")),
    ):
        answer = await router.call(post(body, "/function/f", "Content-Encoding: gzip", header(of)))
        assert refused(answer) == (401, "bad_signature", "mismatch")
    assert len(instance.requests) == 1


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((), "missing"),
        ((header(BODY), header(BODY)), "missing"),
        ((header(BODY), header(b"")), "missing"),
        (("X-Signature:",), "malformed"),
        ((header(BODY).replace("sha256=", "sha1="),), "malformed"),
        ((header(BODY)[:-1],), "malformed"),
        (("X-Signature: sha256=" + "\xe9" * 64,), "malformed"),
        (("X-Signature: \xff\xfe",), "malformed"),
        ((header(BODY, b""),), "mismatch"),
        ((header(BODY, NEXT),), "mismatch"),
        ((header(BODY + b" "),), "mismatch"),
        ((f"Authorization: Bearer {TOKEN}",), "missing"),
    ],
)
async def test_what_is_refused_reaches_no_instance(
    router: RouterProcess, run_instance: RunInstance, lines: tuple[str, ...], reason: str
) -> None:
    instance = await run_instance()
    answer = await router.call(post(BODY, "/function/f", *lines))
    assert refused(answer) == (401, "bad_signature", reason)
    assert (answer.get("WWW-Authenticate") or "").startswith("HMAC ")
    assert instance.requests == []
    assert f'plat_bad_signatures_total{{function="f",reason="{reason}"}} 1' in await router.metrics()


@pytest.mark.parametrize(("away_s", "status"), [(0, 200), (-290, 200), (-310, 401), (310, 401)])
async def test_a_timestamp(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance, away_s: int, status: int
) -> None:
    await run_instance()
    await pool.put(signed(KEY, algorithm="stripe"))
    at = int(time.time()) + away_s
    digest = hmac.digest(KEY, b"%d." % at + BODY, "sha256").hex()
    answer = await router.call(post(BODY, "/function/f", f"X-Signature: t={at},v1={digest}"))
    assert answer.status == status


async def test_keys_change_at_once(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    await run_instance()

    async def statuses() -> list[int]:
        answers = [await router.call(post(BODY, "/function/f", header(BODY, key))) for key in (KEY, NEXT)]
        return [answer.status for answer in answers]

    assert await statuses() == [200, 401]
    await pool.put(signed(NEXT, KEY))
    assert await statuses() == [200, 200]
    await pool.put(signed(NEXT))
    assert await statuses() == [401, 200]
    await pool.put(signed())
    assert await statuses() == [503, 503]


async def test_without_a_key_nobody_is_let_through(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    instance = await run_instance()
    await pool.put(signed())
    for lines in ((), (header(BODY),), (header(BODY, b""),)):
        answer = await router.call(post(BODY, "/function/f", *lines))
        assert refused(answer)[:2] == (503, "signing_key_unavailable") and answer.get("Retry-After") == "1"
    await pool.put(route(auth="signed"))  # from a pool that knows nothing of signatures
    answer = await router.call(post(BODY, "/function/f", header(BODY)))
    assert refused(answer)[:2] == (503, "signing_key_unavailable")
    assert instance.requests == []


async def test_a_key_that_is_taken_back_while_the_body_comes(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    instance = await run_instance()
    wire = await router.connect()
    large = b"x" * 200_000
    request = post(large, "/function/f", header(large))
    await wire.send(request[:-1])
    await pool.put(signed(NEXT))
    assert (await router.call(post(BODY, "/function/f", header(BODY, NEXT)))).status == 200
    await wire.send(request[-1:])
    answer = await wire.answer()
    assert refused(answer)[:2] in ((503, "signing_key_unavailable"), (401, "bad_signature"))
    assert len(instance.requests) == 1


async def test_bad_ones_use_up_no_limit_and_take_no_slot(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    instance = await run_instance()
    await pool.put(signed(KEY, rate=0.001))
    for _ in range(20):
        assert (await router.call(post(BODY, "/function/f", header(b"")))).status == 401
    statuses = [(await router.call(post(BODY, "/function/f", header(BODY)))).status for _ in range(2)]
    assert statuses == [200, 429]
    assert len(instance.requests) == 1


async def test_bodies_over_the_limit(run_router: RunRouter, run_instance: RunInstance) -> None:
    router = await run_router(body_limit_bytes=100_000)
    instance = await run_instance()
    fits, large = b"x" * 100_000, b"x" * 100_001
    assert (await router.call(post(fits, "/function/f", header(fits)))).status == 200
    assert (await router.call(chunked(fits, headers=(header(fits),)))).status == 200
    announced = post(b"", "/function/f", header(b"")).replace(b"Content-Length: 0", b"Content-Length: 100001")
    answer = await router.call(announced)
    assert (refused(answer)[:2], answer.get("Connection")) == ((413, "body_too_large"), "close")
    answer = await router.call(chunked(large, headers=(header(large),)))
    assert refused(answer)[:2] == (413, "body_too_large")
    assert len(instance.requests) == 2


async def test_who_sends_half_a_body_holds_nothing(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance()
    slow = [await router.connect() for _ in range(3)]
    for wire in slow:
        await wire.send(post(b"x" * 200_000, "/function/f", header(b""))[:100_000])
    assert (await router.call(post(BODY, "/function/f", header(BODY)))).status == 200
    for wire in slow:
        await wire.close()
    assert (await router.call(post(BODY, "/function/f", header(BODY)))).status == 200
    assert len(instance.requests) == 2


async def test_who_waits_to_be_asked_for_the_body(router: RouterProcess, run_instance: RunInstance) -> None:
    await run_instance()
    wire = await router.connect()
    await wire.send(post(BODY, "/function/f", "Expect: 100-continue", header(BODY)).removesuffix(BODY))
    assert (await wire.head()).status == 100
    await wire.send(BODY)
    assert (await wire.answer()).status == 200
    bad = await router.connect()
    await bad.send(post(BODY, "/function/f", "Expect: 100-continue").removesuffix(BODY))
    assert (await bad.head()).status == 401  # and is not asked


async def test_many_at_once(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance(slots=4)

    async def call(number: int) -> int:
        body = b"%d" % number * 20_000
        return (await router.call(post(body, "/function/f", header(body if number % 2 else b"")))).status

    statuses = await asyncio.gather(*(call(number) for number in range(40)))
    assert statuses == [200 if number % 2 else 401 for number in range(40)]
    assert len(instance.requests) == 20


async def test_a_function_that_is_not_signed_does_not_care(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    await run_instance()
    await pool.put(route())
    assert (await router.call(post(BODY, "/function/f", "X-Signature: nonsense"))).status == 200


async def test_a_signed_call_with_a_key_is_executed_once(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    """Who has no signature gets nothing of what was kept."""
    instance = await run_instance()
    large = b"x" * 200_000
    for _ in range(2):
        answer = await router.call(post(large, "/function/f", header(large), "Idempotency-Key: k"))
        assert (answer.status, answer.body) == (200, b"ok")
    assert (await router.call(post(large, "/function/f", "Idempotency-Key: k"))).status == 401
    assert len(instance.requests) == 1
    assert instance.requests[0].body == large


async def test_a_body_that_nobody_reads_does_not_spoil_the_next_call(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    await run_instance()
    wire = await router.connect()
    await wire.send(post(b"x" * 300_000) + post(BODY, "/function/f", header(BODY)))
    assert [(await wire.answer()).status for _ in range(2)] == [401, 200]
