"""Limits from outside: two routers, kept in the pool's memory and in a Redis, and what clients are told."""

import http.client
import json
import re
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from plat.leasing import LEASE_TTL_S
from tests.acceptance.platform import Platform, platform
from tests.integration.redis_server import RedisServer

HELLO = 'def handler(event, context):\n    return ["hi"]\n'
SLOW = """
import time

def handler(event, context):
    began = time.monotonic()
    time.sleep(0.5)
    return [began, time.monotonic()]
"""
FORGETFUL_S = 5.0
"""A Redis that has just begun to remember does not lease whole bursts: longer than that."""


@pytest.fixture(scope="module", params=["pool", pytest.param("redis", marks=pytest.mark.redis)])
def plat(request: pytest.FixtureRequest, folder: Path) -> Iterator[Platform]:
    if request.param == "pool":
        with platform(folder / "pool", "process", "--routers", "2") as running:
            yield running
        return
    with tempfile.TemporaryDirectory(prefix="plat-redis-") as place:
        server = RedisServer(Path(place))
        server.start()
        try:
            with platform(
                folder / "redis", "process", "--routers", "2", PLAT_REDIS_URL=server.url
            ) as running:
                time.sleep(FORGETFUL_S)  # of the outside world
                yield running
                assert server.run("EXISTS", "{plat}:lease:memory") == 1
        finally:
            server.kill()


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: Any

    @property
    def left(self) -> int:
        match = re.fullmatch(r'"\w+";r=(\d+)(;t=\d+)?', self.headers["RateLimit"])
        assert match is not None, self.headers["RateLimit"]
        return int(match[1])


def call(plat: Platform, name: str, token: str | None = None) -> Answer:
    """Over a connection of its own, so that any router may take it."""
    connection = http.client.HTTPConnection("127.0.0.1", plat.port, timeout=30)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        connection.request("GET", f"/function/{name}", headers=headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers, json.loads(response.read()))
    finally:
        connection.close()


def calls(plat: Platform, name: str, number: int, token: str | None = None) -> list[Answer]:
    return [call(plat, name, token) for _ in range(number)]


def statuses(answers: list[Answer]) -> list[int]:
    return [answer.status for answer in answers]


def metric(plat: Platform, sample: str) -> float:
    """Over all routers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{plat.admin_port}/metrics") as page:
        found = re.search(rf"^{re.escape(sample)} (\S+)$", page.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_a_burst_is_admitted_once_over_both_routers(plat: Platform) -> None:
    plat.deploy("burst", HELLO, "[limits]\nrate = 0.001\nburst = 6")
    answers = calls(plat, "burst", 30)
    assert statuses(answers).count(200) == 6
    assert statuses(answers).count(429) == 24
    policy = '"function";q=1;w=1000;burst=6'
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {policy}
    assert all(0 <= answer.left < 6 for answer in answers)
    refused = [answer for answer in answers if answer.status == 429]
    assert all(answer.left == 0 and answer.body["code"] == "rate_limited" for answer in refused)
    assert all(900 < int(answer.headers["Retry-After"]) <= 1000 for answer in refused)
    plat.wait_for(lambda: metric(plat, 'plat_rate_limited_total{function="burst"}') == 24)


def test_who_waits_as_told_is_admitted(plat: Platform) -> None:
    plat.deploy("wait", HELLO, "[limits]\nrate = 0.7\nburst = 2")
    for _ in range(2):
        while (answer := call(plat, "wait")).status == 200:
            pass
        assert answer.status == 429
        time.sleep(int(answer.headers["Retry-After"]))  # what a client does
        assert call(plat, "wait").status == 200


def test_at_most_the_rate_in_a_flood(plat: Platform) -> None:
    plat.deploy("flood", HELLO, "[limits]\nrate = 20\nburst = 10")
    began = time.monotonic()
    admitted = 0
    while time.monotonic() - began < 3:
        admitted += call(plat, "flood").status == 200
    assert admitted <= 20 * (time.monotonic() - began) + 10
    assert admitted >= 10, "a limit that admits nothing keeps any limit"


def test_each_token_has_its_own(plat: Platform) -> None:
    plat.deploy("each", HELLO, "[limits]\ntoken_rate = 0.001\ntoken_burst = 3", public=False)
    one, other = (
        plat.plat_json("token", "create", name, "--scope", "invoke:*")["token"] for name in ("a", "b")
    )
    for token in (one, other):
        plat.wait_for(lambda token=token: call(plat, "none", token).status == 404)
        answers = calls(plat, "each", 8, token)
        plat.wait_for(lambda: metric(plat, "plat_limiter_up") == 2)
        assert statuses(answers).count(200) == 3
        assert {answer.headers["RateLimit-Policy"] for answer in answers} <= {'"token";q=1;w=1000;burst=3'}
        assert {answer.status for answer in answers} == {200, 429}


def test_a_token_made_with_another_shares_its_rate(plat: Platform) -> None:
    plat.deploy("family", HELLO, "[limits]\ntoken_rate = 0.001\ntoken_burst = 3", public=False)
    first = plat.plat_json("token", "create", "first", "--scope", "invoke:*")["token"]
    request = urllib.request.Request(
        f"{plat.url}/v1/tokens",
        data=b'{"name": "child", "scopes": ["invoke:*"]}',
        headers={"Authorization": f"Bearer {first}", "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        child = json.load(response)["token"]
    for token in (first, child):
        plat.wait_for(lambda token=token: call(plat, "none", token).status == 404)
    plat.wait_for(lambda: metric(plat, "plat_limiter_up") == 2)
    answers = [*calls(plat, "family", 8, first), *calls(plat, "family", 8, child)]
    assert statuses(answers).count(200) == 3


def test_who_is_far_under_the_limit_does_not_notice_that_the_pool_dies(plat: Platform) -> None:
    plat.deploy("under", HELLO, "[limits]\nrate = 500\n[scale]\nmin = 1")
    assert call(plat, "under").status == 200
    over = threading.Event()
    answers: list[Answer] = []

    def run() -> None:
        while not over.wait(0.05):
            answers.append(call(plat, "under"))

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(2):
        plat.kill("core")
        plat.wait_for(lambda: metric(plat, "plat_limiter_up") == 2)
        time.sleep(LEASE_TTL_S)  # parts are used until then
    over.set()
    thread.join()
    assert len(answers) > 3  # some wait until there is an instance again
    assert set(statuses(answers)) == {200}


def test_calls_under_every_limit_there_is_are_all_admitted(plat: Platform) -> None:
    limits = (
        "rate = 5\nburst = 8\ntoken_rate = 4\ntoken_burst = 4\nmax_in_flight = 2\ntoken_max_in_flight = 2"
    )
    plat.deploy("all", HELLO, f"[limits]\n{limits}", public=False)
    token = plat.plat_json("token", "create", "under", "--scope", "invoke:all")["token"]
    plat.wait_for(lambda: call(plat, "all", token).status != 401)
    answers = []
    for _ in range(12):
        answers.append(call(plat, "all", token))
        time.sleep(0.3)  # far under 4 a second
    assert set(statuses(answers)) == {200}


def test_calls_in_flight_over_all_routers(plat: Platform) -> None:
    plat.deploy("slow", SLOW, "[limits]\nmax_in_flight = 2\n[scale]\nmin = 4\nmax = 4")
    with ThreadPoolExecutor(8) as threads:
        answers = [each.result() for each in [threads.submit(call, plat, "slow") for _ in range(8)]]
    assert statuses(answers) == [200] * 8
    began = [answer.body[0] for answer in answers]
    most = max(sum(each.body[0] <= at < each.body[1] for each in answers) for at in began)
    assert most == 2


def test_calls_of_one_token_in_flight(plat: Platform) -> None:
    plat.deploy("mine", SLOW, "[limits]\ntoken_max_in_flight = 1\n[scale]\nmin = 2\nmax = 2", public=False)
    assert call(plat, "mine", plat.token).status == 200
    first: list[Answer] = []
    thread = threading.Thread(target=lambda: first.append(call(plat, "mine", plat.token)))
    thread.start()
    plat.wait_for(lambda: metric(plat, 'plat_in_flight{function="mine"}') == 1)
    second = call(plat, "mine", plat.token)
    thread.join()
    assert first[0].status == 200
    assert second.status == 429
    assert second.body["code"] == "too_many_in_flight"
    assert second.headers["RateLimit"] == '"in-flight";r=0'
    plat.wait_for(lambda: call(plat, "mine", plat.token).status == 200)


def test_a_changed_limit_holds_at_once(plat: Platform) -> None:
    plat.deploy("changed", HELLO, "[limits]\nrate = 0.001\nburst = 1")
    assert sorted(statuses(calls(plat, "changed", 4))) == [200, 429, 429, 429]
    plat.deploy("changed", HELLO)
    plat.wait_for(lambda: statuses(calls(plat, "changed", 8)) == [200] * 8)
    assert call(plat, "changed").headers["RateLimit"] is None
    plat.deploy("changed", HELLO, "[limits]\nrate = 0.001\nburst = 2")
    plat.wait_for(lambda: 429 in statuses(calls(plat, "changed", 8)))
    assert statuses(calls(plat, "changed", 8)) == [429] * 8
