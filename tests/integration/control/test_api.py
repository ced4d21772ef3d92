"""The API over a real socket: what it answers, to good requests and to bad ones."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plat.errors import ERRORS, PlatError
from tests.integration.control.platform import Platform, code, platform_in, settings_in

UNKNOWN = "/v1/functions/missing"


async def test_a_function_is_created_read_changed_and_deleted(platform: Platform) -> None:
    created = await platform.call("PUT", "/v1/functions/hello", {"name": "hello", "handler": "main.handler"})
    assert created.status == 201
    assert created.headers["X-Call-Id"]
    function = created.json
    assert (function["name"], function["live"], function["stopped"]) == ("hello", None, False)
    assert function["url"] == "http://127.0.0.1:8080/function/hello"
    assert function["created_at"].endswith("Z")
    changed = await platform.call("PUT", "/v1/functions/hello", {"access": {"auth": "public"}})
    assert (changed.status, changed.json["spec"]["access"]["auth"]) == (200, "public")
    assert changed.json["created_at"] == function["created_at"] < changed.json["updated_at"]
    assert (await platform.call("GET", "/v1/functions/hello")).json == changed.json
    assert (await platform.call("DELETE", "/v1/functions/hello")).status == 204
    assert (await platform.call("GET", "/v1/functions/hello")).json["code"] == "function_not_found"


async def test_a_put_of_the_same_spec_changes_nothing(platform: Platform) -> None:
    await platform.call.create("hello", env={"A": "1"})
    first = (await platform.call("GET", "/v1/functions/hello")).json
    again = await platform.call("PUT", "/v1/functions/hello", {"env": {"A": "1"}})
    assert (again.status, again.json) == (200, first)


async def test_lists_come_in_pages(platform: Platform) -> None:
    names = [f"f{number:02}" for number in range(7)]
    for name in reversed(names):
        await platform.call.create(name)
    seen: list[str] = []
    after = ""
    while True:
        page = (await platform.call("GET", f"/v1/functions?limit=3{after}")).json
        seen += [each["name"] for each in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == names
    assert len((await platform.call("GET", "/v1/functions")).json["items"]) == 7
    assert (await platform.call("GET", "/v1/functions?limit=7")).json["next"] is None


async def test_versions_come_in_pages_newest_first(platform: Platform) -> None:
    await platform.call.create("hello")
    for number in range(5):
        await platform.call.deploy("hello", code(f"v{number}"))
    first = (await platform.call("GET", "/v1/functions/hello/versions?limit=2")).json
    assert ([each["version"] for each in first["items"]], first["next"]) == ([5, 4], "4")
    rest = (await platform.call("GET", "/v1/functions/hello/versions?after=4")).json
    assert ([each["version"] for each in rest["items"]], rest["next"]) == ([3, 2, 1], None)


async def test_roll_back_and_forward(platform: Platform) -> None:
    await platform.call.create("hello")
    for number in range(2):
        await platform.call.deploy("hello", code(f"v{number}"))
    back = await platform.call("PUT", "/v1/functions/hello/live", {"version": 1})
    assert (back.status, back.json["live"]) == (200, 1)
    forward = await platform.call("PUT", "/v1/functions/hello/live", {"version": 2})
    assert forward.json["live"] == 2
    missing = await platform.call("PUT", "/v1/functions/hello/live", {"version": 3})
    assert (missing.status, missing.json["code"]) == (404, "version_not_found")


async def test_a_failed_version_cannot_be_made_live(platform: Platform) -> None:
    await platform.call.create("hello")
    platform.pool.problem = PlatError("handler_not_found", "main has no handler")
    await platform.call.deploy("hello")
    answer = await platform.call("PUT", "/v1/functions/hello/live", {"version": 1})
    assert (answer.status, answer.json["code"]) == (409, "version_not_deployable")
    assert "main has no handler" in answer.json["detail"]


async def test_scale_stop_and_start(platform: Platform) -> None:
    await platform.call.create("hello")
    scaled = await platform.call("PUT", "/v1/functions/hello/scale", {"min": 2})
    assert (scaled.json["spec"]["scale"]["min"], scaled.json["spec"]["scale"]["max"]) == (2, 20)
    refused = await platform.call("PUT", "/v1/functions/hello/scale", {"max": 1})
    assert (refused.status, refused.json["code"]) == (422, "invalid")
    assert "scale.min = 2" in refused.json["detail"]
    paused = await platform.call("PUT", "/v1/functions/hello/scale", {"pause_after_s": 5})
    assert paused.json["spec"]["scale"] == scaled.json["spec"]["scale"] | {"pause_after_s": 5.0}
    for _ in range(2):
        stopped = await platform.call("POST", "/v1/functions/hello/stop")
        assert (stopped.status, stopped.json["stopped"]) == (200, True)
    for _ in range(2):
        assert (await platform.call("POST", "/v1/functions/hello/start")).json["stopped"] is False


async def test_everything_is_there_after_a_restart(tmp_path: Path, database_url: str) -> None:
    settings = settings_in(tmp_path, database_url=database_url)
    async with platform_in(settings) as platform:
        await platform.call.create("hello", scale={"max": 3})
        await platform.call.deploy("hello")
        await platform.call("POST", "/v1/functions/hello/stop")
        before = (await platform.call("GET", "/v1/functions/hello")).json
    async with platform_in(settings) as platform:
        assert (await platform.call("GET", "/v1/functions/hello")).json == before
        assert before["stopped"]
        assert (await platform.call.deploy("hello")).json["unchanged"]


BAD_REQUESTS: list[tuple[str, str, Any, int, str, str]] = [
    ("GET", "/v1/functions?limit=abc", None, 422, "invalid", 'limit = "abc"'),
    ("GET", "/v1/functions?limit=0", None, 422, "invalid", "from 1 to 1000"),
    ("GET", "/v1/functions?limit=1001", None, 422, "invalid", "from 1 to 1000"),
    ("GET", "/v1/functions?limt=3", None, 422, "invalid", 'Did you mean "limit"?'),
    ("GET", "/v1/functions?limit=1&limit=2", None, 422, "invalid", "2 times"),
    ("GET", "/v1/functions?after=A_B", None, 422, "invalid", "lower-case"),
    ("GET", "/v1/functions/hello?x=1", None, 422, "invalid", '"x"'),
    ("GET", "/v1/functions/hello/versions?after=x", None, 422, "invalid", 'after = "x"'),
    ("GET", "/v1/functions/hello/logs?tail=-1", None, 422, "invalid", "tail"),
    ("GET", "/v1/functions/hello/logs?follow=perhaps", None, 422, "invalid", "true or false"),
    ("GET", UNKNOWN, None, 404, "function_not_found", '"missing"'),
    ("GET", "/v1/functions/No_Name", None, 404, "function_not_found", '"No_Name"'),
    ("GET", "/v1/functions/a%2Fb", None, 404, "function_not_found", '"a/b"'),
    ("GET", "/v1/functions/a%00", None, 404, "function_not_found", ""),
    ("GET", UNKNOWN + "/versions", None, 404, "function_not_found", ""),
    ("GET", UNKNOWN + "/versions/1", None, 404, "function_not_found", ""),
    ("GET", UNKNOWN + "/instances", None, 404, "function_not_found", ""),
    ("GET", UNKNOWN + "/decisions", None, 404, "function_not_found", ""),
    ("GET", "/v1/functions/hello/decisions?limit=3", None, 422, "invalid", '"limit"'),
    ("GET", UNKNOWN + "/logs", None, 404, "function_not_found", ""),
    ("DELETE", UNKNOWN, None, 404, "function_not_found", ""),
    ("POST", UNKNOWN + "/stop", None, 404, "function_not_found", ""),
    ("PUT", UNKNOWN + "/scale", {"min": 1}, 404, "function_not_found", ""),
    ("PUT", UNKNOWN + "/live", {"version": 1}, 404, "function_not_found", ""),
    ("GET", "/v1/functions/hello/versions/1", None, 404, "version_not_found", "no version 1"),
    ("GET", "/v1/functions/hello/versions/abc", None, 404, "version_not_found", "no version abc"),
    ("GET", "/v1/functions/hello/versions/99999999999", None, 404, "version_not_found", ""),
    ("GET", "/v1/functions/hello/versions/²", None, 404, "version_not_found", ""),
    ("PUT", "/v1/functions/No_Name", {}, 422, "invalid", '"No_Name"'),
    ("PUT", "/v1/functions/a%0A", {}, 422, "invalid", "lower-case"),
    ("PUT", "/v1/functions/" + "a" * 64, {}, 422, "invalid", "1 to 63"),
    ("PUT", "/v1/functions/hello", {"name": "other"}, 422, "invalid", "name = 'other'"),
    ("PUT", "/v1/functions/hello", {"scal": {}}, 422, "invalid", 'Did you mean "scale"?'),
    ("PUT", "/v1/functions/hello", {"scale": {"mx": 1}}, 422, "invalid", 'Did you mean "scale.max"?'),
    ("PUT", "/v1/functions/hello", {"scale": {"max": 5000}}, 422, "invalid", "scale.max = 5000"),
    ("PUT", "/v1/functions/hello", {"scale": {"min": 5, "max": 2}}, 422, "invalid", "min = 5"),
    (
        "PUT",
        "/v1/functions/hello",
        {"scale": {"window": [{"cron": "* 24 * * *", "min": 1}]}},
        *(422, "invalid", 'scale.window[0].cron = "* 24 * * *": its hour is 24: expected 0 to 23'),
    ),
    (
        "PUT",
        "/v1/functions/hello",
        {"scale": {"max": 2, "window": [{"cron": "* * * * *", "min": 3}]}},
        *(422, "invalid", "scale.window[0].min = 3: expected at most max, which is 2"),
    ),
    (
        "PUT",
        "/v1/functions/hello",
        {"scale": {"pause_after_s": 0}},
        422,
        "invalid",
        "scale.pause_after_s = 0",
    ),
    ("PUT", "/v1/functions/hello/scale", {"pause_after_s": "x"}, 422, "invalid", 'pause_after_s = "x"'),
    ("PUT", "/v1/functions/hello", {"limits": {"burst": 5}}, 422, "invalid", "it needs rate"),
    ("PUT", "/v1/functions/hello", {"env": {"1A": "x"}}, 422, "invalid", '"1A"'),
    ("PUT", "/v1/functions/hello", {"env": {"A": 1}}, 422, "invalid", "env.A = 1"),
    ("PUT", "/v1/functions/hello", {"runtime": "pyton"}, 422, "invalid", '"python"'),
    ("PUT", "/v1/functions/hello", [], 422, "invalid", "a list"),
    ("PUT", "/v1/functions/hello/live", {}, 422, "invalid", '"version"'),
    ("PUT", "/v1/functions/hello/live", {"version": "1"}, 422, "invalid", 'version = "1"'),
    ("PUT", "/v1/functions/hello/live", {"version": 0}, 422, "invalid", "version = 0"),
    ("PUT", "/v1/functions/hello/scale", {"minimum": 0}, 422, "invalid", 'Did you mean "min"?'),
    ("POST", "/v1/functions", {}, 405, "method_not_allowed", "GET"),
    ("GET", "/v1/function", None, 404, "not_found", "/v1/function"),
    ("GET", "/v2", None, 404, "not_found", "/v2"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "error", "words"), BAD_REQUESTS)
async def test_a_bad_request_is_told_what_is_wrong(
    method: str, path: str, body: Any, status: int, error: str, words: str, platform: Platform
) -> None:
    await platform.call.create("hello")
    answer = await platform.call(method, path, body)
    assert (answer.status, answer.json["code"]) == (status, error)
    assert words in answer.json["detail"]
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Call-Id"] == answer.json["call_id"]
    assert answer.json["type"] == f"urn:plat:error:{error}"
    assert answer.json["title"] == ERRORS[error].title


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"a": NaN}', b'{"limits": {"rate": 1e999}}', b"[" * 100_000]
)
async def test_a_body_that_is_not_json_is_400(body: bytes, platform: Platform) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await platform.call("PUT", "/v1/functions/hello", data=body, headers=headers)
    assert (answer.status, answer.json["code"]) == (400, "bad_request")


async def test_a_body_of_another_type_is_415(platform: Platform) -> None:
    answer = await platform.call(
        "PUT", "/v1/functions/hello", data=b"{}", headers={"Content-Type": "text/plain"}
    )
    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")
    charset = {"Content-Type": "application/json; charset=utf-8"}
    assert (await platform.call("PUT", "/v1/functions/hello", data=b"{}", headers=charset)).status == 201


async def test_a_huge_spec_is_413(platform: Platform) -> None:
    answer = await platform.call(
        "PUT", "/v1/functions/hello", {"env": {f"A{n}": "x" * 30_000 for n in range(50)}}
    )
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic secret-token", "secret-token"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/functions"),
        ("PUT", "/v1/functions/hello"),
        ("POST", "/v1/functions/hello/versions"),
        ("GET", "/v1/openapi.json"),
        ("GET", "/v1/missing"),
        ("DELETE", "/v1/functions"),
        ("GET", "/%76%31/functions"),
        ("GET", "//v1/functions"),
        ("GET", "/ui/"),
    ],
)
async def test_without_the_token_nothing_is_told(
    method: str, path: str, authorization: str, platform: Platform
) -> None:
    answer = await platform.call(method, path, headers={"Authorization": authorization})
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="plat"'


async def test_pages_of_the_private_socket_need_no_token(platform: Platform) -> None:
    await platform.call.create("hello")
    await platform.call.deploy("hello")
    for path in ("/healthz", "/metrics"):
        assert (await platform.call("GET", path, headers={"Authorization": ""})).status == 200
    metrics = (await platform.call("GET", "/metrics")).body.decode()
    assert 'plat_deploys_total{result="ok"} 1.0' in metrics
    assert 'plat_control_requests_total{operation="put_function",status="201"} 1.0' in metrics


async def test_a_new_token_replaces_the_old_one(tmp_path: Path) -> None:
    async with platform_in(settings_in(tmp_path)) as platform:
        assert (await platform.call("GET", "/v1/functions")).status == 200
    changed = msgspec.structs.replace(settings_in(tmp_path), token="other")
    async with platform_in(changed) as platform:
        assert (await platform.call("GET", "/v1/functions")).status == 401
        headers = {"Authorization": "bearer other"}
        assert (await platform.call("GET", "/v1/functions", headers=headers)).status == 200
    without = msgspec.structs.replace(settings_in(tmp_path), token=None)
    async with platform_in(without) as platform:
        assert (await platform.call("GET", "/v1/functions", headers=headers)).status == 200


async def test_a_405_says_what_is_allowed(platform: Platform) -> None:
    answer = await platform.call("PATCH", "/v1/functions/hello")
    assert (answer.status, answer.headers["Allow"]) == (405, "DELETE,GET,PUT")


async def test_the_call_id_of_the_client_is_kept(platform: Platform) -> None:
    answer = await platform.call("GET", "/v1/functions", headers={"X-Call-Id": "my-id"})
    assert answer.headers["X-Call-Id"] == "my-id"


async def test_many_changes_at_once_all_happen(platform: Platform) -> None:
    names = [f"f{number}" for number in range(30)]
    puts = [
        platform.call("PUT", f"/v1/functions/{name}", {"env": {"A": str(n)}})
        for name in names
        for n in range(4)
    ]
    answers = await asyncio.gather(*puts)
    assert {answer.status for answer in answers} == {200, 201}
    assert len([answer for answer in answers if answer.status == 201]) == 30
    deletes = await asyncio.gather(*(platform.call("DELETE", f"/v1/functions/{name}") for name in names * 2))
    assert sorted(answer.status for answer in deletes) == [204] * 30 + [404] * 30
