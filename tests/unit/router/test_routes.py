"""What a call's target says, and which version the table sends it to."""

import pytest

from plat.errors import PlatError
from plat.feed import Route, RouteVersion
from router.routes import RouteTable, Target, origin_form, parse_target, pick_version


def route(name: str = "hello", live: int | None = 2, numbers: tuple[int, ...] = (1, 2)) -> Route:
    versions = [RouteVersion(f"{name}-{number}", number, 1, 30.0) for number in numbers]
    return Route(name, live, False, "token", 60.0, None, None, versions)


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


def test_a_table_that_was_never_told_is_not_an_empty_one() -> None:
    table = RouteTable()
    with pytest.raises(PlatError) as refused:
        table.route("hello")
    assert refused.value.code == "starting"
    table.replace([])
    with pytest.raises(PlatError) as refused:
        table.route("hello")
    assert refused.value.code == "function_not_found"


def test_changes_of_the_table() -> None:
    table = RouteTable()
    table.replace([route("a"), route("b")])
    assert (len(table), "a" in table, "c" in table) == (2, True, False)
    assert table.of_version("a-1") is table.route("a")
    table.put(route("a", live=3, numbers=(2, 3)))
    assert table.route("a").live == 3
    assert table.of_version("a-1") is None
    assert table.of_version("a-3") is table.route("a")
    table.drop("a")
    table.drop("a")
    assert (len(table), "a" in table, table.of_version("a-3")) == (1, False, None)
    table.replace([route("c")])
    assert (len(table), table.of_version("b-1")) == (1, None)


# --- the version


@pytest.mark.parametrize(("qualifier", "version"), [("live", "hello-2"), ("1", "hello-1"), ("2", "hello-2")])
def test_versions(qualifier: str, version: str) -> None:
    assert pick_version(route(), qualifier).id == version


@pytest.mark.parametrize(
    "qualifier",
    [
        "3",
        "0",
        "-1",
        "+1",
        " 1",
        "1.0",
        "",
        "LIVE",
        "blue",
        "\N{ARABIC-INDIC DIGIT TWO}",
        "9" * 9,
        "9" * 5000,
    ],
)
def test_versions_that_are_not_there(qualifier: str) -> None:
    with pytest.raises(PlatError) as refused:
        pick_version(route(), qualifier)
    assert refused.value.code == "version_not_found"


def test_a_function_without_live_version() -> None:
    with pytest.raises(PlatError) as refused:
        pick_version(route(live=None), "live")
    assert refused.value.code == "function_not_deployed"
    assert pick_version(route(live=None), "1").number == 1


def test_a_live_version_that_is_not_in_the_list() -> None:
    with pytest.raises(PlatError) as refused:
        pick_version(route(live=9), "live")
    assert refused.value.code == "version_not_found"


@pytest.mark.parametrize("qualifier", ["live", "1", "9"])
def test_a_stopped_function_says_so_first(qualifier: str) -> None:
    stopped = Route("hello", None, True, "token", 60.0, None, None, [])
    with pytest.raises(PlatError) as refused:
        pick_version(stopped, qualifier)
    assert refused.value.code == "function_stopped"
    assert "plat start hello" in refused.value.detail
