import base64
from typing import Any

import pytest

from runtimes.python.plat_runtime import payload
from tests.unit.runtimes.python.requests import make_order, make_request


def event(body: bytes = b"", target: str = "/", **fields: str) -> dict[str, Any]:
    return payload.http_event(make_request("POST", target, **fields), body, make_order())


@pytest.mark.parametrize(
    ("content_type", "body", "text", "is_base64"),
    [
        ("text/plain", "é".encode(), "é", False),
        ("application/json; charset=utf-8", b"{}", "{}", False),
        ("application/problem+json", b"{}", "{}", False),
        ("application/x-www-form-urlencoded", b"a=1", "a=1", False),
        ("", b"x", "x", False),
        ("text/plain", b"\xff", "/w==", True),
        ("image/png", b"x", "eA==", True),
        ("application/octet-stream", b"x", "eA==", True),
    ],
)
def test_bodies(content_type: str, body: bytes, text: str, is_base64: bool) -> None:
    seen = event(body, content_type=content_type)
    assert (seen["body"], seen["isBase64Encoded"]) == (text, is_base64)


def test_what_is_empty_is_left_out() -> None:
    assert set(event()) == {
        "version", "routeKey", "rawPath", "rawQueryString", "headers", "requestContext", "isBase64Encoded",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "values"),
    [("a=1&a=2&b=", {"a": "1,2", "b": ""}), ("a=%26+x", {"a": "& x"}), ("flag", {"flag": ""})],
)
def test_queries(query: str, values: dict[str, str]) -> None:
    seen = event(target=f"/p?{query}")
    assert (seen["rawPath"], seen["rawQueryString"], seen["queryStringParameters"]) == ("/p", query, values)


def test_the_source_is_whom_the_router_saw() -> None:
    seen = event(x_forwarded_for="1.1.1.1, 2.2.2.2", host="hello.example:8080")["requestContext"]
    assert seen["http"]["sourceIp"] == "2.2.2.2"
    assert (seen["domainName"], seen["domainPrefix"]) == ("hello.example:8080", "hello")


@pytest.mark.parametrize(
    ("result", "status", "headers", "body"),
    [
        ({"statusCode": 204}, 204, [("content-type", "application/json")], b""),
        ({"statusCode": "201", "body": "é"}, 201, [("content-type", "application/json")], "é".encode()),
        (
            {"statusCode": 200, "headers": {"Content-Type": "x/y"}, "body": b"b"},
            200,
            [("Content-Type", "x/y")],
            b"b",
        ),
        (
            {
                "statusCode": 200,
                "headers": {"content-type": "a", "n": 5, "b": True, "l": ["x", "y"]},
                "cookies": ["c"],
            },
            200,
            [("content-type", "a"), ("n", "5"), ("b", "true"), ("l", "x"), ("l", "y"), ("set-cookie", "c")],
            b"",
        ),
        ({"statusCode": 200, "body": {"a": 1}}, 200, [("content-type", "application/json")], b'{"a":1}'),
        (
            {"statusCode": 200, "body": base64.b64encode(b"\xff").decode(), "isBase64Encoded": True},
            200,
            [("content-type", "application/json")],
            b"\xff",
        ),
        ({"a": 1}, 200, [("content-type", "application/json")], b'{"a":1}'),
        ('{"a": 1}', 200, [("content-type", "application/json")], b'{"a": 1}'),
        (None, 200, [("content-type", "application/json")], b"null"),
    ],
)
def test_answers(result: Any, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    response = payload.http_response(result)
    assert (response.status, response.headers, response.body) == (status, headers, body)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"statusCode": "x"}, "statusCode is 'x'"),
        ({"statusCode": None}, "statusCode is None"),
        ({"statusCode": 200, "headers": [1]}, "headers is a list"),
        ({"statusCode": 200, "body": "%", "isBase64Encoded": True}, "not Base64"),
        ({"statusCode": 200, "body": object()}, "cannot be written as JSON"),
    ],
)
def test_answers_that_are_none(result: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        payload.http_response(result)
