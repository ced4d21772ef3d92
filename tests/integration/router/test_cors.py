"""Pages of other origins, on either path, byte by byte: what is sent, what is left out, and what it costs."""

import msgspec
import pytest

from tests.integration.router.conftest import RouterProcess, RunInstance, RunRouter, get, post
from tests.integration.router.instances import says
from tests.integration.router.pool_server import TOKEN, PoolServer, route
from tests.integration.router.wire import Message

APP, OTHER = "https://app.example", "https://other.example"
OWN = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: *\r\n"
    b"access-control-allow-credentials: true\r\nAccess-Control-Expose-Headers: X-A\r\nVary: Accept\r\n\r\nok"
)


@pytest.fixture(autouse=True)
async def cors(pool: PoolServer) -> None:
    pool.routes["f"] = msgspec.structs.replace(route(auth="token"), cors=(APP,))


def preflight(origin: str = APP, *more: str, target: str = "/function/f") -> bytes:
    lines = [f"Origin: {origin}", "Access-Control-Request-Method: POST", *more]
    return get(target, *lines).replace(b"GET", b"OPTIONS", 1)


AUTHORIZED = f"Authorization: Bearer {TOKEN}"


def about_pages(answer: Message) -> dict[str, list[str]]:
    names = {name.decode().lower() for name, _ in answer.headers}
    return {name: answer.all(name) for name in sorted(names) if name.startswith("access-control-")}


READABLE = {"access-control-allow-origin": [APP], "access-control-expose-headers": ["*"]}


async def test_a_preflight_asks_nobody(router: RouterProcess, pool: PoolServer) -> None:
    """No token, no instance, and no call: it is not even counted as one."""
    answer = await router.call(preflight(APP, "Access-Control-Request-Headers: x-a,authorization"))
    assert (answer.status, answer.body) == (204, b"")
    assert about_pages(answer) == {
        "access-control-allow-headers": ["x-a,authorization"],
        "access-control-allow-methods": ["POST"],
        "access-control-allow-origin": [APP],
        "access-control-max-age": ["7200"],
    }
    assert answer.get("Content-Length") is None and answer.get("X-Call-Id")
    metrics = await router.metrics()
    assert 'plat_preflights_total{function="f",result="allowed"} 1' in metrics
    assert 'plat_invocations_total{function="f"' not in metrics


@pytest.mark.parametrize(
    "origin", [OTHER, "null", f"{APP}/", f"{APP}, {OTHER}", "", "\xff", "https://app.example.evil.example"]
)
async def test_a_preflight_of_another_origin(router: RouterProcess, origin: str) -> None:
    answer = await router.call(preflight(origin))
    assert (answer.status, about_pages(answer)) == (403, {})
    assert b"origin_not_allowed" in answer.body and "Origin" in answer.all("Vary")[0]


async def test_a_preflight_with_two_origins(router: RouterProcess) -> None:
    answer = await router.call(preflight(APP, f"Origin: {APP}"))
    assert (answer.status, about_pages(answer)) == (403, {})


async def test_the_connection_goes_on_after_a_preflight(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    await run_instance()
    wire = await router.connect()
    for _ in range(2):
        await wire.send(preflight())
        assert (await wire.answer()).status == 204
        await wire.send(post(b"x", "/function/f", f"Origin: {APP}", AUTHORIZED))
        answer = await wire.answer()
        assert (answer.status, answer.body, about_pages(answer)) == (200, b"ok", READABLE)


async def test_what_the_function_says_is_left_out(router: RouterProcess, run_instance: RunInstance) -> None:
    await run_instance(says(OWN))
    answer = await router.get("/function/f", f"Origin: {APP}", AUTHORIZED)
    assert (answer.status, about_pages(answer)) == (200, READABLE)
    assert answer.all("Vary") == ["Accept", "Origin"]
    answer = await router.get("/function/f", f"Origin: {OTHER}", AUTHORIZED)
    assert (answer.status, about_pages(answer)) == (200, {})
    assert answer.all("Vary") == ["Accept", "Origin"]
    answer = await router.get("/function/f", AUTHORIZED)
    assert answer.get("Access-Control-Allow-Credentials") == "true" and answer.all("Vary") == ["Accept"]


async def test_an_answer_in_pieces(router: RouterProcess, run_instance: RunInstance) -> None:
    await run_instance(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"))
    answer = await router.get("/function/f", f"Origin: {APP}", AUTHORIZED)
    assert (answer.body, about_pages(answer)) == (b"ok", READABLE)


async def test_every_origin(router: RouterProcess, pool: PoolServer, run_instance: RunInstance) -> None:
    await run_instance()
    await pool.put(msgspec.structs.replace(route(), cors=("*",)))
    for origin in (APP, "null"):
        answer = await router.get("/function/f", f"Origin: {origin}")
        assert answer.get("Access-Control-Allow-Origin") == "*"
        assert (await router.call(preflight(origin))).get("Access-Control-Allow-Origin") == "*"


async def test_refusals_can_be_read(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance
) -> None:
    router = await run_router(queue_timeout_s=0.1)
    page = f"Origin: {APP}"
    for answer, status in (
        (await router.get("/function/f", page), 401),
        (await router.get("/function/f", page, AUTHORIZED), 503),  # no instance
        (await router.get("/function/f:9", page, AUTHORIZED), 404),
    ):
        assert (answer.status, about_pages(answer)) == (status, READABLE)
        assert answer.all("Vary") == ["Origin"] and answer.get("X-Call-Id")
    await run_instance(says(b"SMTP\r\n\r\n"))
    answer = await router.get("/function/f", page, AUTHORIZED)
    assert (answer.status, about_pages(answer)) == (502, READABLE)


async def test_preflights_use_up_no_limit(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    await run_instance()
    await pool.put(msgspec.structs.replace(route(rate=0.001, burst=1), cors=(APP,)))
    for _ in range(20):
        assert (await router.call(preflight())).status == 204
    page = f"Origin: {APP}"
    answers = [await router.get("/function/f", page) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    assert about_pages(answers[1]) == READABLE and answers[1].get("RateLimit")


async def test_options_alone_is_a_call(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance()
    request = get("/function/f", f"Origin: {APP}", AUTHORIZED).replace(b"GET", b"OPTIONS", 1)
    assert about_pages(await router.call(request)) == READABLE
    assert instance.requests[0].method == b"OPTIONS"


async def test_a_function_without_cors_gets_all_of_it(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    instance = await run_instance(says(OWN))
    await pool.put(route())
    answer = await router.call(preflight())
    assert answer.status == 200 and answer.get("Access-Control-Allow-Credentials") == "true"
    assert instance.requests[0].get("Origin") == APP
    assert (await router.get("/function/f", f"Origin: {APP}")).get("Access-Control-Allow-Origin") == "*"


async def test_a_preflight_of_no_function(router: RouterProcess) -> None:
    assert (await router.call(preflight(target="/function/nobody"))).status == 404
    assert (await router.call(preflight(target="/function/"))).status == 404


async def test_a_kept_answer_is_told_to_each_page_as_its_own(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    await run_instance(says(OWN))
    await pool.put(msgspec.structs.replace(route(), cors=(APP, "https://b.example")))
    for origin, allowed in ((APP, [APP]), ("https://b.example", ["https://b.example"]), (OTHER, [])):
        answer = await router.call(post(b"x", "/function/f", f"Origin: {origin}", "Idempotency-Key: k"))
        assert (answer.status, answer.body) == (200, b"ok")
        assert answer.all("Access-Control-Allow-Origin") == allowed
        assert answer.all("Access-Control-Allow-Credentials") == []


async def test_websockets_are_not_under_cors(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    await run_instance(says(b"HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", f"Origin: {OTHER}", AUTHORIZED)
    wire = await router.connect()
    await wire.send(get("/function/f", *upgrade))
    answer = await wire.head()
    assert (answer.status, about_pages(answer)) == (101, {})
