"""Targets of calls: taken apart as they are written, and refused where they are none."""

import pytest

from plat.errors import PlatError
from router.target import Target, origin_form, parse_target


@pytest.mark.parametrize(
    ("target", "name", "qualifier", "prefix", "path"),
    [
        ("/function/hello", "hello", "live", "/function/hello", "/"),
        ("/function/hello/", "hello", "live", "/function/hello", "/"),
        ("/function/hello?a=1", "hello", "live", "/function/hello", "/?a=1"),
        ("/function/hello?", "hello", "live", "/function/hello", "/?"),
        ("/function/hello/a/b", "hello", "live", "/function/hello", "/a/b"),
        ("/function/hello//a//", "hello", "live", "/function/hello", "//a//"),
        ("/function/hello/a?b=/c?d", "hello", "live", "/function/hello", "/a?b=/c?d"),
        ("/function/hello/%2e%2E/%00?%zz", "hello", "live", "/function/hello", "/%2e%2E/%00?%zz"),
        ("/function/hello/../x", "hello", "live", "/function/hello", "/../x"),
        ("/function/hello:3/a", "hello", "3", "/function/hello:3", "/a"),
        ("/function/hello%3A3", "hello", "3", "/function/hello%3A3", "/"),
        ("/function/hello:", "hello", "live", "/function/hello:", "/"),
        ("/function/hello:a:b", "hello", "a:b", "/function/hello:a:b", "/"),
        ("/function/%68ello", "hello", "live", "/function/%68ello", "/"),
        ("/function/hello/\udcff", "hello", "live", "/function/hello", "/\udcff"),
    ],
)
def test_targets(target: str, name: str, qualifier: str, prefix: str, path: str) -> None:
    assert parse_target(target) == Target(name, qualifier, prefix, path)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "/",
        "*",
        "/function",
        "/function/",
        "/function//a",
        "/function/?a",
        "/functions/hello",
        "/Function/hello",
        "function/hello",
        "//function/hello",
        "/x/function/hello",
    ],
)
def test_what_is_no_call(target: str) -> None:
    with pytest.raises(PlatError) as refused:
        parse_target(target)
    assert refused.value.code == "not_found"


@pytest.mark.parametrize("target", ["/function/hello#a", "/function/hello/a#b", "/function/hello?a#b", "#"])
def test_no_target_has_a_fragment(target: str) -> None:
    with pytest.raises(PlatError) as refused:
        parse_target(target)
    assert refused.value.code == "bad_request"


@pytest.mark.parametrize(
    ("target", "origin"),
    [
        ("/function/hello?a=http://x/", "/function/hello?a=http://x/"),
        ("http://example.org/function/hello?a", "/function/hello?a"),
        ("HTTPS://example.org:8443/function/hello", "/function/hello"),
        ("http://example.org", "/"),
        ("http://example.org?a", "?a"),
        ("http:///function/hello", "http:///function/hello"),
        ("ftp://example.org/function/hello", "ftp://example.org/function/hello"),
        ("*", "*"),
        ("example.org:80", "example.org:80"),
    ],
)
def test_absolute_targets(target: str, origin: str) -> None:
    assert origin_form(target) == origin


# --- the table
