from runtimes.python.plat_runtime import asgi
from tests.unit.runtimes.python.requests import make_request


def test_the_path_begins_with_the_root_path() -> None:
    request = make_request("GET", "/a%20b/%C3%A9?x=%20", x_forwarded_prefix="/function/hello")
    scope = asgi.scope_of(request, {})
    assert (scope["root_path"], scope["path"]) == ("/function/hello", "/function/hello/a b/é")
    assert (scope["raw_path"], scope["query_string"]) == (b"/function/hello/a%20b/%C3%A9", b"x=%20")


def test_headers_are_lower_case_bytes_as_often_as_they_came() -> None:
    request = make_request("GET", "/", A="1 ", B="é")
    request.pairs.append(("a", "2"))
    assert asgi.scope_of(request, {})["headers"] == [(b"a", b"1"), (b"b", b"\xe9"), (b"a", b"2")]


def test_each_call_has_its_own_copy_of_the_state() -> None:
    state = {"pool": object()}
    scope = asgi.scope_of(make_request(), state)
    assert scope["state"] == state
    assert scope["state"] is not state


def test_a_websockets_scope() -> None:
    scope = asgi.scope_of(make_request("GET", x_forwarded_proto="https", host="a.b"), {}, "websocket")
    assert (scope["type"], scope["scheme"], scope["server"]) == ("websocket", "wss", ("a.b", 443))
    assert "method" not in scope


def test_who_calls_and_who_is_called_may_be_unknown() -> None:
    scope = asgi.scope_of(make_request(), {})
    assert (scope["client"], scope["server"]) == (None, None)
