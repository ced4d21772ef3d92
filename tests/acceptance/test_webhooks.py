"""Signed webhooks from outside: what GitHub and Stripe send is let in, and nothing else."""

import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.platform import Platform, platform

FIRST, SECOND = "first-hunter2-key", "second-hunter2-key"
MARK = "hunter2"
ROTATED_S = 1.0
"""What is promised."""

COUNT = """
calls = 0

def handler(event, context):
    global calls
    calls += 1
    return calls
"""
ECHO = "def handler(event, context):\n    return event\n"
BODY = b'{"action": "opened",   "n": 1}'


def access(header: str, secret: str, algorithm: str) -> str:
    return (
        f'[access]\nauth = "public"\n'
        f'hmac = {{header = "{header}", secret = {secret}, algorithm = "{algorithm}"}}\n'
    )


GITHUB = access("X-Hub-Signature-256", '["GITHUB", "GITHUB_OLD"]', "sha256")
STRIPE = access("Stripe-Signature", '"STRIPE"', "stripe")


@pytest.fixture(scope="module")
def plat(folder: Path) -> Iterator[Platform]:
    with platform(folder / "process", "process", "--routers", "2", PLAT_LOG_LEVEL="debug") as running:
        for name, value in (("GITHUB", FIRST), ("GITHUB_OLD", SECOND), ("STRIPE", FIRST)):
            running.plat("secret", "set", name, stdin=value.encode())
        running.deploy("github", ECHO, GITHUB, public=False)
        running.deploy("stripe", ECHO, STRIPE, public=False)
        running.deploy(
            "counted",
            COUNT,
            access("X-Signature", '"GITHUB"', "sha256") + "[limits]\nrate = 0.001\nburst = 2",
            False,
        )
        yield running


def github(key: str, body: bytes) -> dict[str, str]:
    return {"X-Hub-Signature-256": "sha256=" + hmac.digest(key.encode(), body, "sha256").hex()}


def stripe(key: str, body: bytes, at: float) -> dict[str, str]:
    signed = f"{int(at)}.".encode() + body
    wrong = hashlib.sha256(b"").hexdigest()
    good = hmac.digest(key.encode(), signed, "sha256").hex()
    return {"Stripe-Signature": f"t={int(at)},v1={wrong},v1={good},v0={wrong}"}


def posted(plat: Platform, name: str, headers: dict[str, str], body: Any = BODY) -> tuple[int, Any]:
    """Over a connection of its own, so that any router may take it."""
    connection = http.client.HTTPConnection("127.0.0.1", plat.port, timeout=30)
    try:
        connection.request("POST", f"/function/{name}", body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_what_github_sends(plat: Platform) -> None:
    for key in (FIRST, SECOND):  # while one takes the other's place, both are good
        assert posted(plat, "github", github(key, BODY)) == (200, json.loads(BODY))
    pieces = iter([BODY[:9], BODY[9:]])
    assert posted(plat, "github", github(FIRST, BODY), pieces) == (200, json.loads(BODY))  # chunked
    for headers in (
        {},
        github("wrong", BODY),
        github(FIRST, BODY + b" "),
        {"X-Hub-Signature-256": github(FIRST, BODY)["X-Hub-Signature-256"].replace("sha256", "sha1")},
        {"X-Hub-Signature-256": github(FIRST, BODY)["X-Hub-Signature-256"][:-1]},
    ):
        status, problem = posted(plat, "github", headers)
        assert (status, problem["code"]) == (401, "bad_signature"), headers


def test_what_stripe_sends(plat: Platform) -> None:
    now = time.time()
    assert posted(plat, "stripe", stripe(FIRST, BODY, now))[0] == 200
    assert posted(plat, "stripe", stripe(FIRST, BODY, now - 250))[0] == 200
    for headers in (
        stripe(FIRST, BODY, now - 330),
        stripe(FIRST, BODY, now + 330),
        stripe("wrong", BODY, now),
    ):
        assert posted(plat, "stripe", headers)[0] == 401


def test_large_bodies(plat: Platform) -> None:
    large = json.dumps({"x": "x" * 3_000_000}).encode()
    assert posted(plat, "github", github(FIRST, large), large)[0] == 200
    assert posted(plat, "github", github(FIRST, large), large[:-2] + b" }")[0] == 401
    status, problem = posted(plat, "github", {**github(FIRST, b""), "Content-Length": "26214401"}, None)
    assert (status, problem["code"]) == (413, "body_too_large")


def test_a_flood_of_bad_ones_leaves_the_limit_alone(plat: Platform) -> None:
    good = {"X-Signature": github(FIRST, BODY)["X-Hub-Signature-256"]}
    for _ in range(20):
        assert posted(plat, "counted", {"X-Signature": "sha256=" + "0" * 64})[0] == 401
    assert [posted(plat, "counted", good)[0] for _ in range(3)] == [200, 200, 429]


def test_a_secret_that_is_not_there_changes_nothing(plat: Platform) -> None:
    folder = plat.write("github", ECHO, access("X-Hub-Signature-256", '"MISSING"', "sha256"), public=False)
    refused = plat.run("deploy", str(folder))
    assert refused.code == 1 and '"MISSING"' in refused.err and "plat secret set MISSING" in refused.err
    assert posted(plat, "github", github(FIRST, BODY))[0] == 200
    in_use = plat.run("secret", "delete", "GITHUB_OLD")
    assert in_use.code == 1 and '"github"' in in_use.err


def test_a_changed_secret_holds_within_a_second_and_the_core_may_die(plat: Platform) -> None:
    plat.plat("secret", "set", "STRIPE", stdin=SECOND.encode())
    began = time.monotonic()
    plat.wait_for(lambda: stripe_statuses(plat, SECOND) == {200}, ROTATED_S - (time.monotonic() - began))
    assert stripe_statuses(plat, FIRST) == {401}
    plat.kill("core")
    assert stripe_statuses(plat, FIRST) == {401}
    plat.kill("router")
    plat.wait_for(lambda: plat.run("list").code == 0)
    plat.wait_for(lambda: stripe_statuses(plat, SECOND) == {200})
    assert stripe_statuses(plat, FIRST) == {401}


def stripe_statuses(plat: Platform, key: str) -> set[int]:
    statuses = set()
    for _ in range(16):
        try:
            statuses.add(posted(plat, "stripe", stripe(key, BODY, time.time()))[0])
        except ConnectionError:
            statuses.add(0)  # it was with a router that was killed
    return statuses


def test_no_key_is_found_anywhere(plat: Platform) -> None:
    """Run last: in no answer, no file (logs, database, what the pool keeps), no process's arguments."""
    for command in (
        ("show", "github", "--json"),
        ("list", "--json"),
        ("secret", "list", "--json"),
        ("audit",),
    ):
        assert MARK not in plat.plat(*command)
    files = [path for path in plat.folder.rglob("*") if path.is_file()]
    assert any(path.name == "plat.db" for path in files)
    assert [path for path in files if MARK.encode() in path.read_bytes()] == []
    for path in (*Path("/proc").glob("[0-9]*/environ"), *Path("/proc").glob("[0-9]*/cmdline")):
        try:
            assert MARK.encode() not in path.read_bytes()
        except OSError:  # a process that has ended, or is another user's
            continue
