"""Who may call and change what, from outside: two routers, tokens that come and go, JSON Web Tokens."""

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.acceptance.platform import Platform, platform

HELLO = "def handler(event, context):\n    return 'hi'\n"
SECRET = "0123456789abcdef0123456789abcdef"
REVOKED_S = 1.0
"""What is promised."""


@pytest.fixture(scope="module")
def plat(folder: Path) -> Iterator[Platform]:
    with platform(folder / "process", "process", "--routers", "2", PLAT_JWT_SECRET=SECRET) as running:
        running.deploy("shop-cart", HELLO, public=False)
        running.deploy("other", HELLO, public=False)
        folder = running.write("outside", HELLO, public=False)
        with (folder / "plat.toml").open("a") as file:
            file.write('[access]\nauth = "jwt"\n')
        running.plat("deploy", str(folder))
        yield running


def answer(plat: Platform, path: str, token: str | None, method: str = "GET") -> tuple[int, Any]:
    """Over a connection of its own, so that any router may take it."""
    connection = http.client.HTTPConnection("127.0.0.1", plat.port, timeout=30)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        is_problem = response.getheader("Content-Type") == "application/problem+json"
        return response.status, json.loads(body) if is_problem else body
    except ConnectionError:
        return 0, None  # it was with a router that was killed
    finally:
        connection.close()


def statuses(plat: Platform, token: str, calls: int = 16) -> set[int]:
    return {answer(plat, "/function/shop-cart", token)[0] for _ in range(calls)}


def made(plat: Platform, *arguments: str) -> Any:
    return plat.plat_json("token", "create", "test", *arguments)


def test_a_new_token_calls_what_it_may(plat: Platform) -> None:
    token = made(plat, "--scope", "invoke:shop-*")["token"]
    plat.wait_for(lambda: statuses(plat, token) == {200})
    status, problem = answer(plat, "/function/other", token)
    assert (status, problem["code"], '"invoke:other"' in problem["detail"]) == (403, "forbidden", True)
    for path, scope in (("/v1/functions", '"read"'), ("/v1/users", '"admin"')):
        status, problem = answer(plat, path, token)
        assert (status, scope in problem["detail"]) == (403, True)
    assert answer(plat, "/v1/functions/shop-cart", token, "DELETE")[0] == 403
    assert answer(plat, "/function/shop-cart", None)[0] == 401


def test_a_revoked_token_is_refused_by_every_router_within_a_second(plat: Platform) -> None:
    token = made(plat, "--scope", "invoke:*")
    plat.wait_for(lambda: statuses(plat, token["token"]) == {200})
    began = time.monotonic()
    assert answer(plat, f"/v1/tokens/{token['id']}", plat.token, "DELETE")[0] == 204
    plat.wait_for(
        lambda: statuses(plat, token["token"], calls=8) == {401}, REVOKED_S - (time.monotonic() - began)
    )
    assert statuses(plat, token["token"], calls=64) == {401}


def test_a_deleted_user_calls_nothing(plat: Platform) -> None:
    plat.plat("user", "create", "ann")
    token = made(plat, "--scope", "invoke:*", "--user", "ann")["token"]
    plat.wait_for(lambda: statuses(plat, token) == {200})
    plat.plat("user", "delete", "ann", "--yes")
    plat.wait_for(lambda: statuses(plat, token) == {401}, REVOKED_S)


def test_an_end_that_comes(plat: Platform) -> None:
    token = made(plat, "--scope", "invoke:*", "--expires", "3s")["token"]
    plat.wait_for(lambda: statuses(plat, token) == {200})
    plat.wait_for(lambda: statuses(plat, token) == {401})


def test_tokens_outlive_the_core_and_revocation_reaches_a_new_router(plat: Platform) -> None:
    kept, revoked = (made(plat, "--scope", "invoke:*") for _ in range(2))
    plat.kill("core")
    plat.wait_for(lambda: plat.run("token", "revoke", revoked["id"]).code == 0)
    plat.kill("router")
    plat.wait_for(lambda: statuses(plat, kept["token"]) == {200})
    plat.wait_for(lambda: statuses(plat, revoked["token"]) == {401})


def test_json_web_tokens(plat: Platform) -> None:
    claims = {"sub": "ann", "exp": time.time() + 600, "scope": "invoke:outside"}
    token = jwt.encode(claims, SECRET, "HS256")
    assert answer(plat, "/function/outside", token)[0] == 200
    assert answer(plat, "/function/shop-cart", token)[0] == 401
    assert answer(plat, "/v1/functions", token)[0] == 401
    assert answer(plat, "/function/outside", plat.token)[0] == 401
    assert (
        answer(plat, "/function/outside", jwt.encode({**claims, "scope": "invoke:x"}, SECRET, "HS256"))[0]
        == 403
    )
    assert answer(plat, "/function/outside", jwt.encode({**claims, "exp": 1}, SECRET, "HS256"))[0] == 401


def test_no_token_is_written_down(plat: Platform) -> None:
    """Neither in the log nor in the database, whoever reads them."""
    token = made(plat, "--scope", "invoke:*")["token"]
    plat.wait_for(lambda: statuses(plat, token) == {200})
    for path in (plat.log, *plat.data.rglob("plat.db*")):
        content = path.read_bytes()
        for secret in (token, plat.token, SECRET):
            assert secret.encode() not in content, path
