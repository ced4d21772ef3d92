"""Bad input: a clear error, and nothing lost."""

import io
import json
import urllib.error
import urllib.request
import zipfile
from typing import Any

import pytest

from tests.acceptance.platform import Platform

GOOD = 'def handler(event, context):\n    return "good"\n'


def http(
    plat: Platform, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, Any]:
    """Status and decoded JSON (or text), with the platform's own token."""
    headers = {
        "Authorization": f"Bearer {plat.token}",
        **{key.replace("_", "-"): headers[key] for key in headers},
    }
    request = urllib.request.Request(plat.url + path, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, _decode(response.read())
    except urllib.error.HTTPError as error:
        return error.code, _decode(error.read())


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


def archive(*entries: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries:
            file.writestr(name, content)
    return buffer.getvalue()


def link(name: str, target: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("main.py", GOOD)
        info = zipfile.ZipInfo(name)
        info.external_attr = 0o120777 << 16
        file.writestr(info, target)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def good(plat: Platform) -> Platform:
    plat.deploy("good", GOOD)
    return plat


def assert_still_good(plat: Platform) -> None:
    assert http(plat, "GET", "/function/good") == (200, "good")
    assert plat.plat_json("show", "good")["function"]["live"] == 1


@pytest.mark.parametrize(
    "path", ["/function/goot", "/function/good:9", "/function/good:canary", "/function/x%2Fy"]
)
def test_what_does_not_exist_is_404(good: Platform, path: str) -> None:
    status, problem = http(good, "GET", path)
    assert status == 404
    assert problem["code"] in ("function_not_found", "version_not_found")


def test_the_cli_suggests_the_nearest_name(good: Platform) -> None:
    ran = good.run("invoke", "goot")
    assert ran.code == 1
    assert "good" in ran.err


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[scale]\nconcurency = 2\n", ["concurency", "concurrency"]),
        ("[scale]\nmax = 0\n", ["max", "1"]),
        ("[limits]\ntimeout_s = -1\n", ["timeout_s", "0.1"]),
        ("[scale]\nmin = 5\nmax = 2\n", ["min", "max"]),
        ('runtme = "python"\n', ["runtme", "runtime"]),
    ],
)
def test_plat_toml_is_checked(good: Platform, toml: str, words: list[str]) -> None:
    folder = good.write("checked", GOOD)
    (folder / "plat.toml").write_text(f'name = "checked"\n{toml}')
    ran = good.run("deploy", str(folder))
    assert ran.code == 2, ran.err
    assert len(ran.err.strip().splitlines()) == 1
    for word in words:
        assert word in ran.err


def test_a_bad_name_is_refused_everywhere(good: Platform) -> None:
    assert good.run("init", "Bad_Name").code == 2
    status, problem = http(good, "PUT", "/v1/functions/Bad_Name", b"{}")
    assert (status, problem["code"]) == (422, "invalid")


def test_the_api_names_key_range_and_nearest_key(good: Platform) -> None:
    status, problem = http(good, "PUT", "/v1/functions/good", b'{"scale": {"concurency": 2}}')
    assert (status, problem["code"]) == (422, "invalid")
    assert "concurency" in problem["detail"]
    assert "concurrency" in problem["detail"]
    assert_still_good(good)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"this is no zip", id="not a zip"),
        pytest.param(b"", id="empty"),
        pytest.param(archive(("main.py", GOOD.encode()), ("../escaped.py", b"x")), id="dot dot"),
        pytest.param(archive(("main.py", GOOD.encode()), ("/tmp/escaped.py", b"x")), id="absolute"),
        pytest.param(link("inner", "../../outside"), id="link out of the tree"),
        pytest.param(link("inner", "/etc/passwd"), id="absolute link"),
        pytest.param(archive(("main.py", GOOD.encode()), ("zeros", bytes(200_000_000))), id="bomb"),
        pytest.param(archive(("main.py", GOOD.encode()))[:-30], id="cut"),
    ],
)
def test_a_bad_archive_is_refused(good: Platform, body: bytes) -> None:
    status, problem = http(good, "POST", "/v1/functions/good/versions", body, Content_Type="application/zip")
    assert (status, problem["code"]) == (422, "invalid_archive"), problem
    assert not (good.data.parent / "escaped.py").exists()
    assert_still_good(good)


@pytest.mark.parametrize(
    ("code", "handler", "error"),
    [
        ("import json\n1 / 0\n", "main.handler", "handler_import_failed"),
        ("def handler(:\n", "main.handler", "handler_syntax_error"),
        ("def other(event): ...\n", "main.handler", "handler_not_found"),
        (GOOD, "absent.handler", "handler_module_not_found"),
        ("import no_such_package\n", "main.handler", "handler_import_failed"),
    ],
)
def test_a_handler_that_cannot_be_loaded_does_not_go_live(
    good: Platform, code: str, handler: str, error: str
) -> None:
    folder = good.write("good", code, f'handler = "{handler}"\n')
    ran = good.run("deploy", str(folder), "--json")
    assert ran.code == 1
    problem = json.loads(ran.err)
    assert problem["code"] == error, ran.err
    if error == "handler_import_failed":
        assert "main.py" in problem["traceback"]
        assert "plat_runtime" not in problem["traceback"]
    assert_still_good(good)


def test_a_deploy_of_unchanged_code_makes_no_version(good: Platform) -> None:
    deployed = good.deploy("good", GOOD)
    assert (deployed["version"], deployed["unchanged"]) == (1, True)
    assert "Unchanged" in good.plat("deploy", str(good.write("good", GOOD)))


def test_a_body_over_the_limit_is_refused_before_it_is_read(good: Platform) -> None:
    status, problem = http(good, "POST", "/function/good", b"x", Content_Length="99999999999")
    assert (status, problem["code"]) == (413, "body_too_large")


def test_a_token_is_needed(good: Platform) -> None:
    good.deploy("closed", GOOD, public=False)
    for path in ("/function/closed", "/v1/functions", "/v1/openapi.json"):
        status, problem = http(good, "GET", path, Authorization="Bearer wrong")
        assert (status, problem["code"]) == (401, "unauthorized"), path
    assert http(good, "GET", "/function/closed") == (200, "good")
