import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.python.plat_runtime import events
from tests.unit.runtimes.python.requests import make_request


@pytest.mark.parametrize(
    ("content_type", "body", "event"),
    [
        ("application/json", b'{"a":1}', {"a": 1}),
        ("", b"[1]", [1]),
        ("", b"plain", "plain"),
        ("application/x-www-form-urlencoded", b'"x"', "x"),
        ("application/json", b"", None),
        ("TEXT/Plain; charset=utf-8", b"5", "5"),
        ("text/plain", b"\xff", b"\xff"),
        ("image/jpeg", b"5", b"5"),
        ("application/octet-stream", b"5", b"5"),
        ("multipart/form-data; boundary=x", b"5", b"5"),
        ("application/json", b"\xff", b"\xff"),
        ("application/json", b"[" * 100_000, "[" * 100_000),
    ],
)
def test_the_body_as_event(content_type: str, body: bytes, event: Any) -> None:
    assert events.body_event(make_request(content_type=content_type), body) == event


@given(st.binary(max_size=50))
def test_any_body_is_an_event(body: bytes) -> None:
    events.body_event(make_request(), body)


@pytest.mark.parametrize(
    ("result", "content_type", "body"),
    [
        ("é", events.TEXT_TYPE, "é".encode()),
        ("", events.TEXT_TYPE, b""),
        (b"x", events.BYTES_TYPE, b"x"),
        (bytearray(b"x"), events.BYTES_TYPE, b"x"),
        (memoryview(b"x"), events.BYTES_TYPE, b"x"),
        (None, events.JSON_TYPE, b"null"),
        ({"é": [1, 2.5, True]}, events.JSON_TYPE, '{"é":[1,2.5,true]}'.encode()),
        ((1, 2), events.JSON_TYPE, b"[1,2]"),
    ],
)
def test_results(result: Any, content_type: str, body: bytes) -> None:
    response = events.body_response(result)
    assert (response.status, response.headers, response.body) == (200, [("content-type", content_type)], body)


@pytest.mark.parametrize("result", [{1, 2}, object(), [object()], math.nan, {"a": math.inf}, {(1, 2): 3}])
def test_results_that_are_no_json(result: Any) -> None:
    with pytest.raises(TypeError, match=f"a {type(result).__name__} that cannot be written as JSON"):
        events.body_response(result)


def test_a_result_that_holds_itself() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        events.body_response(endless)


@pytest.mark.parametrize(
    ("item", "piece", "content_type"),
    [
        ("é", "é".encode(), events.TEXT_TYPE),
        (b"x", b"x", events.BYTES_TYPE),
        ({"a": 1}, b'{"a":1}\n', events.NDJSON_TYPE),
        (5, b"5\n", events.NDJSON_TYPE),
    ],
)
def test_items_of_a_stream(item: Any, piece: bytes, content_type: str) -> None:
    assert events.stream_piece(item) == piece
    assert events.stream_type(make_request(), item) == content_type
    assert (
        events.stream_type(make_request(accept="text/html, text/event-stream"), item)
        == events.EVENT_STREAM_TYPE
    )


class SilentError(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (ValueError("text"), "ValueError: text"),
        (ValueError(), "ValueError"),
        (KeyError("k"), "KeyError: 'k'"),
        (ValueError("half \ud800"), "ValueError: half \ud800"),
        (SilentError(), "SilentError: (its text cannot be shown: ValueError)"),
    ],
)
def test_errors(error: Exception, detail: str) -> None:
    response = events.error_response(error, "c1")
    assert (response.status, dict(response.headers)["x-plat-error"]) == (500, "function")
    problem = json.loads(response.body)
    assert (problem["detail"], problem["code"], problem["call_id"]) == (detail, "function_error", "c1")
    assert problem["error_type"] == type(error).__name__
