"""What a page of another origin may do, in a real browser: the rules are the browser's, not ours."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.browser import Browser, Call, Seen, browser
from tests.acceptance.platform import Platform, platform

pytestmark = pytest.mark.chromium

APP, SUB, DOMAIN, OTHER = "app.localhost", "a.b.shop.localhost", "shop.localhost", "other.localhost"

SHOP = """
import json

calls = 0

def handler(event, context):
    global calls
    calls += 1
    request = event["requestContext"]["http"]
    told = [calls, request["method"], event.get("body")]
    headers = {"X-Total": "7", "Access-Control-Allow-Origin": event["headers"].get("origin", "*")}
    return {"statusCode": 200, "headers": headers, "body": json.dumps(told)}
"""
"""It lets every page read; where there is `cors`, that counts for nothing."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def plat(folder: Path, chromium: Browser) -> Iterator[Platform]:
    cors = f'cors = ["{chromium.origin(APP)}", "{chromium.origin("*." + DOMAIN)}"]\n'
    one, token, public = '[scale]\nmax = 1\n[access]\nauth = "', 'token"\n', 'public"\n'
    with platform(folder / "process", "process") as running:
        for name, toml in (
            ("shop", one + token + cors),
            ("limited", one + token + cors + "[limits]\nrate = 0.001\nburst = 1\n"),
            ("simple", one + public + cors),
            ("everybody", one + public + 'cors = ["*"]\n'),
            ("own", one + public),
        ):
            running.deploy(name, SHOP, f'event = "http"\n{toml}', public=False)
        yield running


def simple(plat: Platform, name: str = "simple") -> Call:
    """One that a browser makes without having asked."""
    return Call(f"{plat.url}/function/{name}", {})


def asked(plat: Platform, name: str = "shop", method: str = "POST", token: bool = True) -> Call:
    """One that a browser asks for beforehand."""
    headers = {"Content-Type": "application/json", "X-Mine": "1"}
    if token:
        headers["Authorization"] = f"Bearer {plat.token}"
    body = {} if method == "DELETE" else {"body": '{"n": 1}'}
    return Call(f"{plat.url}/function/{name}", {"method": method, "headers": headers, **body})


def calls_of(plat: Platform, name: str) -> int:
    """How many have reached the function, this one left out."""
    with urllib.request.urlopen(f"{plat.url}/function/{name}") as answer:
        return int(json.load(answer)[0]) - 1


def preflights(plat: Platform, name: str, result: str) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{plat.admin_port}/metrics") as page:
        lines = page.read().decode().splitlines()
    wanted = ("plat_preflights_total{", f'function="{name}"', f'result="{result}"')
    return sum(int(float(line.split()[-1])) for line in lines if all(each in line for each in wanted))


@pytest.mark.parametrize("host", [APP, SUB])
def test_a_page_reads_a_simple_call_and_its_headers(plat: Platform, chromium: Browser, host: str) -> None:
    [seen] = chromium.visit(host, simple(plat))
    assert (seen.status, json.loads(seen.body)[1]) == (200, "GET")
    assert seen.headers["x-total"] == "7"
    assert seen.headers["x-call-id"]
    assert preflights(plat, "simple", "allowed") == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_page_calls_with_a_token_after_a_preflight(plat: Platform, chromium: Browser, method: str) -> None:
    before = preflights(plat, "shop", "allowed")
    [seen] = chromium.visit(APP, asked(plat, method=method))
    assert seen.status == 200
    assert json.loads(seen.body)[1:] == [method, None if method == "DELETE" else '{"n": 1}']
    assert preflights(plat, "shop", "allowed") == before + 1


def test_the_browser_asks_once_for_many_calls(plat: Platform, chromium: Browser) -> None:
    before = preflights(plat, "shop", "allowed")
    seen = chromium.visit(SUB, *[asked(plat)] * 5)
    assert [each.status for each in seen] == [200] * 5
    assert preflights(plat, "shop", "allowed") == before + 1


def test_what_is_refused_can_be_read_too(plat: Platform, chromium: Browser) -> None:
    limited = asked(plat, "limited")
    seen = chromium.visit(APP, asked(plat, token=False), limited, limited, asked(plat, "shop:99"))
    assert [each.status for each in seen] == [401, 200, 429, 404]
    assert [code_of(each) for each in seen if each.status != 200] == [
        "unauthorized",
        "rate_limited",
        "version_not_found",
    ]
    assert all(each.headers["x-call-id"] for each in seen)
    assert "r=0" in seen[1].headers["ratelimit"] and seen[1].headers["ratelimit-policy"]
    assert int(seen[2].headers["retry-after"]) > 0


def code_of(seen: Seen) -> str:
    return str(json.loads(seen.body)["code"])


@pytest.mark.parametrize("host", [OTHER, DOMAIN])
def test_a_page_that_is_not_listed_reads_nothing(plat: Platform, chromium: Browser, host: str) -> None:
    before = calls_of(plat, "simple")
    [seen] = chromium.visit(host, simple(plat))
    assert (seen.status, seen.headers, chromium.refusals) == (0, {}, [NOT_ALLOWED])
    assert calls_of(plat, "simple") == before + 2, "the call is made all the same"


def test_a_page_that_is_not_listed_makes_no_call_it_must_ask_for(plat: Platform, chromium: Browser) -> None:
    before, refused = calls_of(plat, "simple"), preflights(plat, "simple", "refused")
    [seen] = chromium.visit(OTHER, asked(plat, "simple"))
    assert (seen.status, chromium.refusals) == (0, [f"{PREFLIGHT}{NOT_ALLOWED}"])
    assert preflights(plat, "simple", "refused") == refused + 1
    assert calls_of(plat, "simple") == before + 1


NOT_ALLOWED = "No 'Access-Control-Allow-Origin' header is present on the requested resource."
PREFLIGHT = "Response to preflight request doesn't pass access control check: "


def test_every_page_may_call_where_all_are_listed(plat: Platform, chromium: Browser) -> None:
    seen = chromium.visit(OTHER, simple(plat, "everybody"), asked(plat, "everybody", "PUT"))
    assert [json.loads(each.body)[1] for each in seen] == ["GET", "PUT"]
    assert all(each.headers["x-total"] == "7" and each.headers["x-call-id"] for each in seen)


@pytest.mark.parametrize("name", ["simple", "everybody"])
def test_no_page_reads_an_answer_to_the_browsers_user(plat: Platform, chromium: Browser, name: str) -> None:
    url, options = simple(plat, name)
    [seen] = chromium.visit(APP, Call(url, {**options, "credentials": "include"}))
    assert (seen.status, len(chromium.refusals)) == (0, 1)
    assert "credentials mode is 'include'" in chromium.refusals[0]


def test_without_cors_a_page_may_what_the_function_says(plat: Platform, chromium: Browser) -> None:
    read, refused = chromium.visit(OTHER, simple(plat, "own"), asked(plat, "own"))
    assert (read.status, "x-total" in read.headers) == (200, False)
    assert (refused.status, len(chromium.refusals)) == (0, 1)
    assert "not allowed by Access-Control-Allow-Headers in preflight response" in chromium.refusals[0]
