import io

from runtimes.python.plat_runtime import wsgi
from tests.unit.runtimes.python.requests import make_order, make_request

EMPTY = io.BytesIO()


def environ(target: str = "/", concurrency: int = 1, **fields: str) -> dict[str, object]:
    request = make_request("GET", target, **fields)
    return wsgi.environ_of(request, EMPTY, make_order(concurrency=concurrency))


def test_the_path_is_decoded_and_the_prefix_is_the_script() -> None:
    seen = environ("/a%20b/%C3%A9?x=%20", x_forwarded_prefix="/function/hello")
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/function/hello", "/a b/Ã©")
    assert seen["QUERY_STRING"] == "x=%20"


def test_a_name_with_an_underscore_does_not_pass_for_the_routers() -> None:
    request = make_request(x_forwarded_for="1.1.1.1")
    request.fields["x_forwarded_for"] = "6.6.6.6"
    seen = wsgi.environ_of(request, EMPTY, make_order())
    assert seen["HTTP_X_FORWARDED_FOR"] == "1.1.1.1"


def test_content_headers_have_no_prefix() -> None:
    seen = environ(content_type="text/plain", content_length="0")
    assert (seen["CONTENT_TYPE"], seen["CONTENT_LENGTH"]) == ("text/plain", "0")
    assert "HTTP_CONTENT_TYPE" not in seen


def test_the_server_is_the_host_that_was_asked_for() -> None:
    assert (environ(host="a.b:81")["SERVER_NAME"], environ(host="a.b:81")["SERVER_PORT"]) == ("a.b", "81")
    secure = environ(host="a.b", x_forwarded_proto="https")
    assert (secure["SERVER_NAME"], secure["SERVER_PORT"], secure["wsgi.url_scheme"]) == (
        "a.b",
        "443",
        "https",
    )


def test_threads_are_told() -> None:
    assert [environ(concurrency=each)["wsgi.multithread"] for each in (1, 2, 0)] == [False, True, True]
