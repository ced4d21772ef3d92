"""What every service does alike: call ids, problem answers, and which errors a user can act on."""

import sqlite3

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from plat.errors import PlatError
from plat.model import Problem
from plat.web import call_id_of, json_response, new_call_id, problem_response, problems, translate


def request(headers: dict[str, str] | None = None, method: str = "GET") -> web.Request:
    return make_mocked_request(method, "/v1/functions/hello", headers=headers or {})


@pytest.mark.parametrize("given", ["a", "A.b_c:d-9", "x" * 128])
def test_a_valid_call_id_is_kept(given: str) -> None:
    assert call_id_of(request({"X-Call-Id": given})) == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "ä", 'a"', "a/b", "<script>"])
def test_any_other_is_replaced(given: str) -> None:
    made = call_id_of(request({"X-Call-Id": given}))
    assert made != given
    assert len(made) == 24


def test_call_ids_do_not_repeat() -> None:
    assert len({new_call_id() for _ in range(1000)}) == 1000


def decoded(response: web.StreamResponse) -> Problem:
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    assert response.content_type == "application/problem+json"
    return msgspec.json.decode(response.body, type=Problem)


def test_a_problem_answer() -> None:
    response = problem_response(PlatError("queue_full", "100 wait.", retry_after_s=0.3), "call-1")
    assert response.status == 429
    assert (response.headers["X-Call-Id"], response.headers["Retry-After"]) == ("call-1", "1")
    assert (decoded(response).code, decoded(response).call_id) == ("queue_full", "call-1")


def test_only_401_asks_for_a_token() -> None:
    assert (
        problem_response(PlatError("unauthorized", ""), "c").headers["WWW-Authenticate"].startswith("Bearer")
    )
    other = PlatError("bad_signature", "", headers=(("WWW-Authenticate", "HMAC"),))
    assert problem_response(other, "c").headers.getall("WWW-Authenticate") == ["HMAC"]
    assert "WWW-Authenticate" not in problem_response(PlatError("not_found", ""), "c").headers


def test_a_json_answer_is_typed() -> None:
    response = json_response({"a": 1}, status=201)
    assert (response.status, response.body, response.content_type) == (201, b'{"a":1}', "application/json")


async def through_the_middleware(error: Exception | None) -> web.StreamResponse:
    async def handler(_: web.Request) -> web.StreamResponse:
        if error is not None:
            raise error
        return web.Response(text="fine")

    return await problems(request({"X-Call-Id": "call-1"}), handler)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (PlatError("function_not_found", "No function."), 404, "function_not_found"),
        (web.HTTPNotFound(), 404, "not_found"),
        (web.HTTPMethodNotAllowed("PATCH", {"GET", "PUT"}), 405, "method_not_allowed"),
        (web.HTTPRequestEntityTooLarge(1, 2), 413, "body_too_large"),
        (web.HTTPBadRequest(text="No."), 400, "bad_request"),
        (OSError(28, "No space left on device"), 507, "disk_full"),
        (sqlite3.OperationalError("database is locked"), 503, "database_busy"),
        (KeyError("oops"), 500, "internal"),
    ],
)
async def test_every_error_becomes_a_problem(error: Exception, status: int, code: str) -> None:
    response = await through_the_middleware(error)
    assert response.status == status
    assert response.headers["X-Call-Id"] == "call-1"
    assert decoded(response).code == code


async def test_an_unexpected_error_tells_the_caller_nothing_and_the_log_all(
    caplog: pytest.LogCaptureFixture,
) -> None:
    response = await through_the_middleware(KeyError("a secret"))
    assert "secret" not in decoded(response).detail
    [record] = caplog.records
    assert record.exc_info is not None
    assert "a secret" in str(record.exc_info[1])


async def test_a_method_that_is_not_allowed_names_those_that_are() -> None:
    response = await through_the_middleware(web.HTTPMethodNotAllowed("PATCH", {"PUT", "GET"}))
    assert decoded(response).detail.endswith("allowed are GET, PUT.")


async def test_a_good_answer_gets_the_call_id_too() -> None:
    response = await through_the_middleware(None)
    assert (response.status, response.headers["X-Call-Id"]) == (200, "call-1")


def caused_by(cause: BaseException) -> Exception:
    error = RuntimeError("outer")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(28, "full"), "disk_full"),
        (OSError(122, "quota"), "disk_full"),
        (sqlite3.OperationalError("database or disk is full"), "disk_full"),
        (sqlite3.OperationalError("database table is locked"), "database_busy"),
        (caused_by(OSError(28, "full")), "disk_full"),
        (sqlite3.OperationalError("no such table: x"), None),
        (OSError(2, "no file"), None),
        (ValueError("x"), None),
    ],
)
def test_what_a_user_can_act_on(error: Exception, code: str | None) -> None:
    found = translate(error)
    assert (found.code if found else None) == code
