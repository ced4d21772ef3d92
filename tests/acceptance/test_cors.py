"""What a page of another origin may do, from outside: ask, call, and read what was refused."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.platform import Platform, platform

APP, SUB, OTHER = "https://app.example", "https://a.b.example.org", "https://other.example"

SHOP = """
def handler(event, context):
    headers = {"Access-Control-Allow-Origin": "https://of-the-function.example", "X-Total": "7"}
    method = event["requestContext"]["http"]["method"]
    return {"statusCode": 200, "headers": headers, "body": method}
"""
CORS = f'event = "http"\n[access]\nauth = "token"\ncors = ["{APP}", "https://*.example.org"]\n'


@pytest.fixture(scope="module")
def plat(folder: Path) -> Iterator[Platform]:
    with platform(folder / "process", "process", "--routers", "2") as running:
        running.deploy("shop", SHOP, CORS, public=False)
        running.deploy("limited", SHOP, CORS + "[limits]\nrate = 0.001\nburst = 1\n", public=False)
        running.deploy("own", SHOP, 'event = "http"')
        yield running


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read().decode()

    @property
    def allowed(self) -> str | None:
        return self.headers.get("Access-Control-Allow-Origin")

    @property
    def cors_headers(self) -> list[str]:
        return [name for name in self.headers if name.lower().startswith("access-control-")]


def sent(plat: Platform, method: str, path: str, headers: dict[str, str]) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", plat.port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def preflight(plat: Platform, origin: str, path: str = "/function/shop") -> Answer:
    asked = {
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return sent(plat, "OPTIONS", path, {"Origin": origin, **asked})


def called(plat: Platform, origin: str | None, path: str = "/function/shop", token: bool = True) -> Answer:
    headers = {} if origin is None else {"Origin": origin}
    return sent(
        plat, "POST", path, {**headers, **({"Authorization": f"Bearer {plat.token}"} if token else {})}
    )


@pytest.mark.parametrize("origin", [APP, SUB])
def test_a_preflight_needs_no_token_and_no_instance(plat: Platform, origin: str) -> None:
    plat.plat("stop", "shop")
    answer = preflight(plat, origin)
    plat.plat("start", "shop")
    assert (answer.status, answer.body, answer.allowed) == (204, "", origin)
    assert answer.headers["Access-Control-Allow-Methods"] == "PUT"
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    assert int(answer.headers["Access-Control-Max-Age"]) > 0
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize(
    "origin", [OTHER, "null", "https://example.org", "http://app.example", f"{APP}:8443"]
)
def test_a_preflight_of_another_origin_is_told_nothing(plat: Platform, origin: str) -> None:
    answer = preflight(plat, origin)
    assert (answer.status, answer.cors_headers) == (403, [])
    assert "Origin" in answer.headers["Vary"]


def test_a_call_is_answered_so_that_the_page_can_read_it(plat: Platform) -> None:
    answer = called(plat, APP)
    assert (answer.status, answer.body, answer.allowed) == (200, "POST", APP)
    assert answer.headers.get_all("Access-Control-Allow-Origin") == [APP]  # not the function's
    assert answer.headers["Access-Control-Expose-Headers"] == "*"
    assert "Origin" in answer.headers["Vary"]


def test_a_call_of_another_origin_cannot_be_read(plat: Platform) -> None:
    answer = called(plat, OTHER)
    assert (answer.status, answer.cors_headers) == (200, [])


def test_a_call_without_an_origin_is_as_it_was(plat: Platform) -> None:
    answer = called(plat, None)
    assert (answer.status, answer.allowed) == (200, "https://of-the-function.example")


def test_what_is_refused_can_be_read_too(plat: Platform) -> None:
    for _ in range(10):
        assert preflight(plat, APP, "/function/limited").status == 204  # not counted
    assert called(plat, APP, "/function/limited").status == 200
    for answer, status in (
        (called(plat, APP, token=False), 401),
        (called(plat, APP, "/function/limited"), 429),
        (called(plat, APP, "/function/shop:99"), 404),
    ):
        assert (answer.status, answer.allowed) == (status, APP)
        assert answer.headers["Access-Control-Expose-Headers"] == "*"
        assert "X-Call-Id" in answer.headers


def test_a_function_without_cors_answers_all_of_it_itself(plat: Platform) -> None:
    asked = preflight(plat, APP, "/function/own")
    assert (asked.status, asked.body, asked.allowed) == (200, "OPTIONS", "https://of-the-function.example")
    assert called(plat, APP, "/function/own").allowed == "https://of-the-function.example"


@pytest.mark.parametrize(
    ("cors", "said"),
    [
        ('["https://app.example/"]', "without a path"),
        ('["app.example"]', "scheme"),
        ('["null"]', "null"),
        ('["*", "https://app.example"]', "every origin"),
    ],
)
def test_what_is_no_origin_is_refused_before_anything_is_sent(plat: Platform, cors: str, said: str) -> None:
    folder = plat.write("bad", SHOP, f"[access]\ncors = {cors}", public=False)
    refused = plat.run("deploy", str(folder))
    assert refused.code == 2 and "access.cors" in refused.err and said in refused.err
