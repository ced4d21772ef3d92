"""Bodies: which types are taken, what is no JSON, and uploads as they come."""

from typing import Any

import pytest
from aiohttp import HttpVersion10, web
from aiohttp.test_utils import make_mocked_request

from control.bodies import check_upload, length_of, read_json, upload
from plat.errors import PlatError
from tests.unit.requests import Writer, payload

BROKEN = [ConnectionResetError("gone"), web.RequestPayloadError("400, message: bad gzip")]


def request_of(*pieces: bytes, error: Exception | None = None, **options: Any) -> web.Request:
    return make_mocked_request("PUT", "/", payload=payload(*pieces, error=error), **options)


@pytest.mark.parametrize(
    "given",
    ["application/json", "Application/JSON; charset=utf-8", "application/x-www-form-urlencoded", None],
)
async def test_json_of_every_type_that_may_be_json(given: str | None) -> None:
    headers = {} if given is None else {"Content-Type": given}
    assert await read_json(request_of(b'{"a"', b": [1]}", headers=headers)) == {"a": [1]}


@pytest.mark.parametrize("given", ["text/plain", "application/zip", "json", ""])
async def test_json_of_another_type_is_refused_by_name(given: str) -> None:
    with pytest.raises(PlatError, match=f'"{given}": expected application/json') as caught:
        await read_json(request_of(b"{}", headers={"Content-Type": given}))
    assert caught.value.code == "unsupported_media_type"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "The body is empty"),
        (b"{", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"\xff", "not JSON"),
        (b'"\xff"', "not JSON"),
        (b'"\\ud800"', "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
async def test_what_is_no_json_is_told(body: bytes, words: str) -> None:
    with pytest.raises(PlatError, match=words) as caught:
        await read_json(request_of(body))
    assert caught.value.code == "bad_request"


@pytest.mark.parametrize("error", BROKEN)
async def test_json_that_cannot_be_read_to_its_end_is_the_clients_fault(error: Exception) -> None:
    with pytest.raises(PlatError) as caught:
        await read_json(request_of(error=error))
    assert caught.value.code == "bad_request"


@pytest.mark.parametrize("given", ["application/zip", "application/octet-stream", None])
def test_an_upload_may_have_as_many_bytes_as_the_limit(given: str | None) -> None:
    headers = {"Content-Length": "10"} | ({} if given is None else {"Content-Type": given})
    check_upload(make_mocked_request("POST", "/", headers), 10)
    with pytest.raises(PlatError, match="has 10 bytes: 9 are allowed") as caught:
        check_upload(make_mocked_request("POST", "/", headers), 9)
    assert caught.value.code == "body_too_large"


def test_an_upload_without_a_length_is_not_refused_yet() -> None:
    check_upload(make_mocked_request("POST", "/", {"Transfer-Encoding": "chunked"}), 0)


def test_an_upload_of_another_type_is_refused_by_name() -> None:
    with pytest.raises(PlatError, match='"application/json": expected application/zip or') as caught:
        check_upload(make_mocked_request("POST", "/", {"Content-Type": "application/json"}), 10)
    assert caught.value.code == "unsupported_media_type"


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ({"Content-Length": "10"}, 10),
        ({"Transfer-Encoding": "chunked"}, None),
        ({"Content-Length": "10", "Content-Encoding": "gzip"}, None),
    ],
)
def test_the_length_of_a_body_that_is_unpacked_on_its_way_is_not_known(
    headers: dict[str, str], length: int | None
) -> None:
    assert length_of(make_mocked_request("POST", "/", headers)) == length


async def test_an_upload_comes_as_it_is() -> None:
    writer = Writer()
    request = request_of(b"one", b"two", writer=writer)
    assert b"".join([chunk async for chunk in upload(request)]) == b"onetwo"
    assert writer.written == []


async def test_the_go_ahead_is_given_when_the_upload_is_asked_for_and_not_before() -> None:
    writer = Writer()
    request = request_of(b"one", writer=writer, headers={"Expect": "100-Continue"})
    chunks = upload(request)
    assert writer.written == []
    assert await anext(chunks) == b"one"
    assert writer.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    assert writer.output_size == 0


async def test_a_client_of_http_1_0_is_given_no_go_ahead() -> None:
    """RFC 9110, 10.1.1: it would take it for the answer."""
    writer = Writer()
    headers = {"Expect": "100-continue"}
    request = request_of(b"one", writer=writer, headers=headers, version=HttpVersion10)
    assert [chunk async for chunk in upload(request)] == [b"one"]
    assert writer.written == []


@pytest.mark.parametrize("error", BROKEN)
async def test_an_upload_that_breaks_off_is_the_clients_fault(error: Exception) -> None:
    with pytest.raises(PlatError) as caught:
        await anext(upload(request_of(error=error)))
    assert caught.value.code == "bad_request"
