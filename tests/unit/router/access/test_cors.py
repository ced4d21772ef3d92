"""Pages of other origins: what a preflight is answered, and what is said in every other answer."""

from typing import Any

import pytest
from multidict import CIMultiDict

from plat.errors import PlatError
from plat.feed import Route
from router.access.cors import Page, is_preflight, page_of, preflight_headers

APP = "https://app.example"


def route(*cors: str) -> Route:
    return Route("f", 1, False, "token", 60.0, None, None, (), cors=cors)


def headers(**given: str) -> CIMultiDict[str]:
    return CIMultiDict({name.replace("_", "-"): value for name, value in given.items()})


def preflight(*patterns: str, **given: str) -> Any:
    asked = headers(Origin=APP, **{"Access_Control_Request_Method": "PUT", **given})
    page = page_of(route(*(patterns or (APP,))), asked)
    assert page is not None and is_preflight("OPTIONS", asked)
    return preflight_headers(page, asked, "id")


class TestWho:
    def test_nobody_asks(self) -> None:
        assert page_of(route(APP), headers()) is None

    def test_the_function_says_it_itself(self) -> None:
        assert page_of(route(), headers(Origin=APP)) is None
        assert page_of(None, headers(Origin=APP)) is None

    @pytest.mark.parametrize(
        ("patterns", "allowed"),
        [((APP,), APP), (("https://*.example", APP), APP), (("*",), "*"), (("https://other.example",), None)],
    )
    def test_who_is_let_in(self, patterns: tuple[str, ...], allowed: str | None) -> None:
        page = page_of(route(*patterns), headers(Origin=APP))
        assert page is not None and page.allowed == allowed

    @pytest.mark.parametrize("origin", ["null", "", "https://app.example/", "https://app.example, null"])
    def test_what_is_no_origin_is_not(self, origin: str) -> None:
        assert Page((APP,), [origin]).allowed is None

    def test_two_origins_are_none(self) -> None:
        assert Page((APP,), [APP, APP]).allowed is None
        assert Page(("*",), [APP, "https://other.example"]).allowed is None


class TestPreflights:
    @pytest.mark.parametrize(("method", "is_one"), [("OPTIONS", True), ("GET", False), ("options", False)])
    def test_by_method(self, method: str, is_one: bool) -> None:
        assert is_preflight(method, headers(Access_Control_Request_Method="GET")) is is_one

    def test_options_alone_is_a_call(self) -> None:
        assert not is_preflight("OPTIONS", headers(Origin=APP))

    def test_what_was_asked_for_is_allowed(self) -> None:
        answer = preflight(Access_Control_Request_Headers="authorization, x-y")
        assert answer["Access-Control-Allow-Origin"] == APP
        assert answer["Access-Control-Allow-Methods"] == "PUT"
        assert answer["Access-Control-Allow-Headers"] == "authorization, x-y"
        assert answer["Access-Control-Max-Age"] == "7200"
        assert answer["Vary"].startswith("Origin, ")
        assert "Access-Control-Allow-Credentials" not in answer

    def test_no_headers_are_asked_for(self) -> None:
        assert "Access-Control-Allow-Headers" not in preflight()

    def test_of_another_origin(self) -> None:
        refused = preflight("https://other.example")
        assert isinstance(refused, PlatError)
        assert (refused.code, refused.status) == ("origin_not_allowed", 403)
        assert [name for name, _ in refused.headers] == ["Vary"]

    @pytest.mark.parametrize(
        "given",
        [
            {"Access_Control_Request_Method": "PUT, GET"},
            {"Access_Control_Request_Method": ""},
            {"Access_Control_Request_Method": "P\xfcT"},
            {"Access_Control_Request_Method": "A" * 41},
            {"Access_Control_Request_Headers": "a b"},
            {"Access_Control_Request_Headers": "a,,b"},
            {"Access_Control_Request_Headers": "a\x00"},
            {"Access_Control_Request_Headers": "a," * 3000 + "a"},
        ],
    )
    def test_what_cannot_be_read_is_not_repeated(self, given: dict[str, str]) -> None:
        refused = preflight(**given)
        assert isinstance(refused, PlatError) and refused.code == "bad_request"

    def test_an_origin_of_any_bytes_is_shown_in_ascii(self) -> None:
        page = Page((APP,), ["\udcff\r\n" + "x" * 5000])
        refused = preflight_headers(page, headers(Access_Control_Request_Method="PUT"), "id")
        assert isinstance(refused, PlatError)
        assert refused.detail.isascii() and "\n" not in refused.detail and len(refused.detail) < 400


class TestAnswers:
    def test_a_page_that_may_read_it(self) -> None:
        said = dict(Page((APP,), [APP]).headers())
        expected = {
            "Access-Control-Allow-Origin": APP,
            "Access-Control-Expose-Headers": "*",
            "Vary": "Origin",
        }
        assert said == expected

    def test_a_page_that_may_not(self) -> None:
        assert Page((APP,), ["https://other.example"]).headers() == (("Vary", "Origin"),)

    @pytest.mark.parametrize("origin", [APP, "https://other.example"])
    def test_what_the_function_says_is_left_out(self, origin: str) -> None:
        page = Page((APP,), [origin])
        given = [
            (b"Content-Type", b"text/plain"),
            (b"access-control-allow-origin", b"*"),
            (b"Access-Control-Allow-Credentials", b"true"),
            (b"Vary", b"Accept"),
        ]
        ours = [(name.encode(), value.encode()) for name, value in page.headers()]
        assert page.rewritten(given) == [given[0], given[3], *ours]

    def test_the_same_of_an_answer_of_ours(self) -> None:
        given = CIMultiDict({"Vary": "Accept", "Access-Control-Allow-Origin": "*", "X": "1"})
        Page((APP,), [APP]).rewrite(given)
        assert given.getall("Access-Control-Allow-Origin") == [APP]
        assert given.getall("Vary") == ["Accept", "Origin"] and given["X"] == "1"
