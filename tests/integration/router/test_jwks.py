"""Keys of JSON Web Tokens over HTTP: fetched, renewed, away; and calls that wait for one."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from plat.tasks import cancel, spawn
from router.access import jwks as ours
from router.access.jwks import Jwks
from router.access.jwt_keys import Key
from tests.integration.router.conftest import RouterProcess, RunInstance, RunRouter
from tests.integration.router.pool_server import TOKEN, PoolServer, route
from tests.integration.router.wire import until
from tests.unit.router.jwt_samples import EC, RSA, jwk, jwks, signed


class Issuer:
    """Publishes its document, or does what the test says."""

    def __init__(self) -> None:
        self.document = jwks(jwk(RSA, "first"))
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.server = TestServer(self._app())

    @property
    def url(self) -> str:
        return str(self.server.make_url("/keys"))

    def _app(self) -> web.Application:
        async def keys(request: web.Request) -> web.Response:
            self.asked += 1
            await self.may_answer.wait()
            return web.Response(status=self.status, body=self.document, headers=self.headers)

        app = web.Application()
        app.router.add_get("/keys", keys)
        return app


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    await issuer.server.start_server()
    yield issuer
    issuer.may_answer.set()
    await issuer.server.close()


class Told:
    """What a `Jwks` with a clock of the test's tells."""

    def __init__(self, url: str) -> None:
        self.now = 100.0
        self.jwks = Jwks(url, lambda: self.now)
        self.keys: list[list[str | None]] = []
        self.jwks.fetched = self._fetched

    def _fetched(self, keys: list[Key]) -> None:
        self.keys.append([key.kid for key in keys])


async def test_keys_are_fetched_when_asked_for_and_not_too_often(issuer: Issuer) -> None:
    told = Told(issuer.url)
    await asyncio.gather(*(told.jwks.refresh() for _ in range(5)))
    assert (told.keys, issuer.asked) == ([["first"]], 1)
    told.now += 9.9
    assert not told.jwks.may_know_more(told.now)
    await told.jwks.refresh()
    told.now += 0.2
    issuer.document = jwks(jwk(RSA, "second"), jwk(EC, "third"))
    await told.jwks.refresh()
    assert (told.keys[1:], issuer.asked) == ([["second", "third"]], 2)
    assert told.jwks.fetches == {"ok": 2}


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (500, jwks(jwk(RSA))),
        (404, b""),
        (302, jwks(jwk(RSA))),
        (200, b"<html>"),
        (200, b'{"keys": {}}'),
        (200, b" " * 300_000),
    ],
)
async def test_an_answer_that_is_none_leaves_the_keys_as_they_are(
    issuer: Issuer, status: int, document: bytes
) -> None:
    issuer.status, issuer.document = status, document
    issuer.headers = {"Location": "/elsewhere"} if status == 302 else {}
    told = Told(issuer.url)
    await told.jwks.refresh()
    assert (told.keys, told.jwks.fetches) == ([], {"failed": 1})


@pytest.mark.parametrize("document", [b'{"keys": []}', jwks({"kty": "oct", "k": "c2VjcmV0"})])
async def test_the_last_key_can_be_withdrawn(
    issuer: Issuer, document: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told(issuer.url)
    await told.jwks.refresh()
    issuer.document = document
    told.now += 10
    await told.jwks.refresh()
    assert (told.keys, told.jwks.fetches) == ([["first"], []], {"ok": 2})
    assert "no key that signs with RS256, ES256 or EdDSA" in caplog.text


async def test_nobody_waits_long_for_a_url_that_hangs(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, "ANSWER_S", 0.01)
    issuer.may_answer.clear()
    told = Told(issuer.url)
    await told.jwks.refresh()
    assert (told.keys, told.jwks.may_know_more(told.now)) == ([], True)
    issuer.may_answer.set()
    await until(lambda: told.keys == [["first"]])


async def test_a_url_that_is_away_is_tried_again(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "RETRY_S", (0.01, 0.02))
    monkeypatch.setattr(ours, "EVERY_S", 0.01)
    issuer.status = 503
    told = Told(issuer.url)
    running = spawn(told.jwks.run(), "run")
    await until(lambda: issuer.asked >= 3)
    issuer.status = 200
    await until(lambda: len(told.keys) >= 3)
    await cancel(running)


async def test_a_caller_that_leaves_does_not_end_the_fetch(issuer: Issuer) -> None:
    issuer.may_answer.clear()
    told = Told(issuer.url)
    waiting = spawn(told.jwks.refresh(), "refresh")
    await until(lambda: issuer.asked == 1)
    await cancel(waiting)
    issuer.may_answer.set()
    await until(lambda: told.keys == [["first"]])


# --- calls, by both paths


def bearer(kid: str = "first", key: Any = RSA, algorithm: str = "RS256", **claims: Any) -> str:
    now = time.time()
    token = signed(key, algorithm, header={"kid": kid}, **{"exp": now + 60, "scope": "invoke:f", **claims})
    return f"Authorization: Bearer {token}"


@pytest.fixture
async def router(pool: PoolServer, issuer: Issuer, run_router: RunRouter) -> RouterProcess:
    pool.routes["f"] = route(auth="jwt")
    pool.routes["g"] = route("g", auth="jwt")
    pool.routes["t"] = route("t", auth="token")
    router = await run_router(jwt_jwks_url=issuer.url)
    await until(lambda: issuer.asked == 1)
    return router


async def test_a_call_with_a_json_web_token(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance()
    for _ in range(2):
        assert (await router.get("/function/f", bearer())).status == 200
    assert (instance.requests[0].get("Authorization") or "").startswith("Bearer ey")
    assert (await router.get("/function/g", bearer())).status == 403
    assert (await router.get("/function/t", bearer())).status == 401
    assert (await router.get("/function/f", f"Authorization: Bearer {TOKEN}")).status == 401
    assert (await router.get("/function/f")).status == 401
    assert (await router.get("/function/f", bearer(exp=time.time() - 1))).status == 401


async def test_a_call_waits_for_the_key_it_was_signed_with(
    router: RouterProcess, run_instance: RunInstance, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run_instance()
    assert (await router.get("/function/f", bearer())).status == 200
    issuer.document = jwks(jwk(RSA, "first"), jwk(EC, "new"))
    assert (await router.get("/function/f", bearer("new", EC, "ES256"))).status == 401
    assert issuer.asked == 1
    monkeypatch.setattr(ours, "LEAST_S", 0.0)
    assert (await router.get("/function/f", bearer("new", EC, "ES256"))).status == 200
    assert issuer.asked == 2
    assert (await router.get("/function/f", bearer("unknown", EC, "ES256"))).status == 401
    issuer.status = 500
    assert (await router.get("/function/f", bearer("unknown", EC, "ES256"))).status == 401
    assert (await router.get("/function/f", bearer("new", EC, "ES256"))).status == 200


async def test_what_the_last_key_signed_is_refused_when_it_is_withdrawn(
    router: RouterProcess, run_instance: RunInstance, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run_instance()
    assert (await router.get("/function/f", bearer())).status == 200
    issuer.document = jwks()
    monkeypatch.setattr(ours, "LEAST_S", 0.0)
    assert (await router.get("/function/f", bearer("other"))).status == 401
    assert (await router.get("/function/f", bearer())).status == 401


ODD_HEADERS = [
    (401, ["Authorization: Basic dXNlcjpwYXNz"]),
    (401, ["Authorization: Bearer"]),
    (401, ["Authorization:"]),
    (401, ["Authorization: Bearer \xe9\xff"]),
    (401, [f"Authorization: Bearer {'x' * 7000}"]),
    (401, [f"Authorization: Token {TOKEN}"]),
    (401, [f"Authorization: {TOKEN}"]),
    (401, [f"Proxy-Authorization: Bearer {TOKEN}"]),
    (401, [f"X-Authorization: Bearer {TOKEN}"]),
    (401, [f"Cookie: Authorization=Bearer {TOKEN}"]),
    (400, [f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {TOKEN}"]),
    (400, [f"Authorization: Bearer {TOKEN}", "authorization: Bearer other"]),
    (400, ["Authorization: Basic x", f"AUTHORIZATION: Bearer {TOKEN}"]),
    (400, [f"Authorization : Bearer {TOKEN}"]),
    (400, [f"Authorization: Bearer\r\n {TOKEN}"]),
    (400, [f"Authorization: Bearer {TOKEN}\x00"]),
    (200, [f"Authorization: Bearer {TOKEN}"]),
    (200, [f"authorization: bearer {TOKEN}"]),
    (200, [f"AUTHORIZATION:BEARER   {TOKEN}  "]),
]


@pytest.mark.parametrize(("status", "headers"), ODD_HEADERS)
async def test_headers_by_both_paths(
    pool: PoolServer, run_router: RunRouter, run_instance: RunInstance, status: int, headers: list[str]
) -> None:
    pool.routes["f"] = route(auth="token")
    router, instance = await run_router(), await run_instance()
    answer = await router.get("/function/f", *headers)
    assert answer.status == status
    assert (answer.get("WWW-Authenticate") is not None) == (status == 401)
    assert len(instance.requests) == (status == 200)
    assert all(request.get("Authorization") is None for request in instance.requests)
