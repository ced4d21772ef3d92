"""What an instance's answer to the health check means; reading it from sockets is an integration test."""

import pytest

from plat.address import Address
from plat.errors import PlatError
from pool.health import Health, judge
from pool.line import Answer

UNIX = Address.parse("unix:/run/http.sock")
TCP = Address.parse("tcp:10.0.0.2:8080")


def test_a_ready_instance_says_who_it_is() -> None:
    body = b'{"function": "hello", "version": 7, "in_flight": 2}'
    assert judge(Answer(200, body), UNIX) == Health("hello", 7, 2)


def test_a_warm_instance() -> None:
    assert judge(Answer(200, b'{"warm": true}'), UNIX) == Health(warm=True)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"version": "seven"}'])
def test_a_foreign_server_that_answers_anything_is_ready(body: bytes) -> None:
    assert judge(Answer(200, body), UNIX) == Health()
    assert judge(Answer(404, body), UNIX) == Health()


@pytest.mark.parametrize("status", [200, 302, 404, 500, 503])
def test_over_tcp_any_answer_counts(status: int) -> None:
    assert judge(Answer(status, b""), TCP) == Health()


@pytest.mark.parametrize("target", [UNIX, TCP])
def test_a_load_error_is_raised_with_the_users_traceback(target: Address) -> None:
    body = b'{"code": "handler_import_failed", "detail": "boom", "traceback": "File main.py"}'
    with pytest.raises(PlatError) as raised:
        judge(Answer(503, body), target)
    assert (raised.value.code, raised.value.detail) == ("handler_import_failed", "boom")
    assert raised.value.traceback == "File main.py"


def test_a_load_error_with_a_code_that_we_do_not_know() -> None:
    with pytest.raises(PlatError) as raised:
        judge(Answer(503, b'{"code": "surprise", "detail": "boom"}'), UNIX)
    assert (raised.value.code, raised.value.detail) == ("instance_start_failed", "boom")


@pytest.mark.parametrize("answer", [Answer(500, b""), Answer(503, b"busy"), Answer(301, b"")])
def test_other_answers_of_an_instance_are_failures(answer: Answer) -> None:
    with pytest.raises(PlatError, match=str(answer.status)):
        judge(answer, UNIX)
