"""The bounds of the shared words: what is in, what is just outside."""

from typing import Any

import msgspec
import pytest

from plat.decoding import convert
from plat.errors import PlatError
from plat.model import (
    FunctionSpec,
    Hmac,
    LiveChange,
    Scale,
    ScaleChange,
    VersionSpec,
    Window,
    is_function_name,
)


@pytest.mark.parametrize("name", ["a", "0", "hello", "a-b", "a1-2b", "x" * 63])
def test_names(name: str) -> None:
    assert is_function_name(name)
    assert msgspec.convert({"name": name}, FunctionSpec).name == name


@pytest.mark.parametrize(
    "name", ["", "A", "a_b", "-a", "a-", "a.b", "a/b", "..", "ä", "a b", "hello\n", "x" * 64]
)
def test_no_names(name: str) -> None:
    assert not is_function_name(name)


@pytest.mark.parametrize("name", ["", "A", "-a", "a/b", "x" * 64])
def test_a_spec_refuses_them_too(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"name": name}, FunctionSpec)


@pytest.mark.parametrize(
    ("table", "key", "allowed", "refused"),
    [
        ("scale", "concurrency", (0, 1, 1000), (-1, 1001, 1.5, "1")),
        ("scale", "min", (0, 20), (-1, 21, 1001)),
        ("scale", "max", (1, 1000), (0, 1001)),
        ("scale", "idle_s", (0.1, 60, 86_400), (0, 0.09, 86_401, float("nan"))),
        ("scale", "pause_after_s", (0.1, 30, 86_400), (0, 0.09, 86_401, None, False, float("nan"))),
        ("limits", "timeout_s", (0.1, 3600), (0, 3600.1, float("inf"))),
        ("limits", "memory_mb", (16, 1_048_576), (15, 1_048_577)),
        ("limits", "cpu", (0.01, 1024), (0, 1025)),
        ("limits", "rate", (0.001, None), (0, -1)),
        ("limits", "burst", (None,), (0, 1)),
        ("access", "auth", ("token", "public"), ("open", None, True)),
    ],
)
def test_bounds(table: str, key: str, allowed: tuple[Any, ...], refused: tuple[Any, ...]) -> None:
    for value in allowed:
        spec = msgspec.convert({"name": "a", table: {key: value}}, FunctionSpec)
        assert getattr(getattr(spec, table), key) == value
    for value in refused:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"name": "a", table: {key: value}}, FunctionSpec)


def test_a_spec_from_before_a_key_was_there_has_its_default() -> None:
    scale = msgspec.json.decode(b'{"name": "a", "scale": {"min": 1, "idle_s": 5}}', type=FunctionSpec).scale
    assert scale == Scale(min=1, idle_s=5)
    assert (scale.pause_after_s, scale.window) == (30, [])


def windowed(*windows: dict[str, Any], maximum: int = 20) -> dict[str, Any]:
    return {"name": "a", "scale": {"max": maximum, "window": list(windows)}}


def test_a_window_is_a_minimum_for_what_its_cron_matches() -> None:
    scale = msgspec.convert(windowed({"cron": "* 8-17 * * mon-fri", "min": 2}, maximum=2), FunctionSpec).scale
    assert scale.window == [Window("* 8-17 * * mon-fri", 2)]


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ({"cron": "* * * *", "min": 1}, "regex"),
        ({"cron": "* * * * * *", "min": 1}, "regex"),
        ({"cron": "* * * *\n*", "min": 1}, "regex"),
        ({"cron": "* * * * *\n", "min": 1}, "regex"),
        ({"cron": "@daily", "min": 1}, "regex"),
        ({"cron": "* * * * *" + "," * 200, "min": 1}, "length <= 200"),
        ({"cron": "* 24 * * *", "min": 1}, "its hour is 24: expected 0 to 23"),
        ({"cron": "* * * * *", "min": 21}, r"window\[1\].min = 21: expected at most max, which is 20"),
        ({"cron": "* * * * *", "min": -1}, ">= 0"),
        ({"cron": "* * * * *"}, "missing required field `min`"),
        ({"cron": "* * * * *", "min": 1, "max": 1}, "unknown field"),
    ],
)
def test_a_wrong_window(window: dict[str, Any], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(windowed({"cron": "* * * * *", "min": 1}, window), FunctionSpec)


def test_windows_are_bounded() -> None:
    with pytest.raises(msgspec.ValidationError, match="length <= 100"):
        msgspec.convert(windowed(*[{"cron": "* * * * *", "min": 1}] * 101), FunctionSpec)


def refused(access: dict[str, Any]) -> str:
    with pytest.raises(PlatError) as caught:
        convert({"name": "a", "access": access}, FunctionSpec)
    return caught.value.detail


def test_origins_say_which_is_wrong() -> None:
    origins = ["https://app.example", "https://*.example.org"]
    assert convert({"name": "a", "access": {"cors": origins}}, FunctionSpec).access.cors == origins
    assert refused({"cors": [*origins, "https://app.example/"]}).startswith(
        'access.cors[2] = "https://app.example/": expected an origin without a path'
    )
    assert '"*" allows every origin' in refused({"cors": ["*", "https://app.example"]})
    assert "a list of at most 100" in refused({"cors": ["https://app.example"] * 101})


def test_a_signature_needs_a_header_a_secret_and_nobody_else_s_token() -> None:
    hmac = {"header": "X-Hub-Signature-256", "secret": "GITHUB"}
    spec = convert({"name": "a", "access": {"auth": "public", "hmac": hmac}}, FunctionSpec)
    assert spec.access.hmac is not None
    assert (spec.access.hmac.secrets, spec.access.hmac.algorithm) == (["GITHUB"], "sha256")
    two = Hmac("X-Hub-Signature-256", ["NEW", "OLD"])
    assert two.secrets == ["NEW", "OLD"]
    for auth in ("token", "jwt"):
        assert 'expected auth = "public"' in refused({"auth": auth, "hmac": hmac})
    for wrong, said in (
        ({"header": "Authorization"}, "means something else"),
        ({"secret": []}, "access.hmac.secret: expected one name, or 2 in a list"),
        ({"secret": ["A", "B", "C"]}, "access.hmac.secret: expected one name, or 2 in a list"),
        ({"secret": "PLAT_X"}, "access.hmac.secret: expected the name of a secret"),
        ({"secret": "A\n"}, "expected the name of a secret"),
        ({"secret": ""}, "expected the name of a secret"),
        ({"secret": ["A", "1"]}, "access.hmac.secret: expected the name of a secret"),
        ({"secret": 3}, "access.hmac.secret = 3: expected text or a list"),
    ):
        assert said in refused({"auth": "public", "hmac": {**hmac, **wrong}})


def test_a_burst_goes_with_a_rate() -> None:
    spec = msgspec.convert({"name": "a", "limits": {"rate": 2, "burst": 1}}, FunctionSpec)
    assert spec.limits.burst == 1
    with pytest.raises(msgspec.ValidationError, match=">= 1"):
        msgspec.convert({"name": "a", "limits": {"rate": 2, "burst": 0}}, FunctionSpec)


@pytest.mark.parametrize(
    ("handler", "is_allowed"),
    [
        ("main.handler", True),
        ("lib/api.app", True),
        ("a.b.c", True),
        ("main", False),
        (".handler", False),
        ("/etc/passwd.x", False),
        ("main.1", False),
        ("main.handler()", False),
        ("a" * 255 + ".b", False),
    ],
)
def test_handlers(handler: str, is_allowed: bool) -> None:
    try:
        msgspec.convert({"name": "a", "handler": handler}, FunctionSpec)
    except msgspec.ValidationError:
        assert not is_allowed
    else:
        assert is_allowed


def test_a_version_takes_from_a_spec_what_an_instance_is_made_of() -> None:
    spec = msgspec.convert(
        {
            "name": "a",
            "scale": {"concurrency": 8, "max": 3},
            "limits": {"cpu": 2, "rate": 5},
            "env": {"X": "1"},
        },
        FunctionSpec,
    )
    assert VersionSpec.of(spec) == VersionSpec(
        runtime="python",
        handler="main.handler",
        event="body",
        concurrency=8,
        timeout_s=30,
        memory_mb=128,
        cpu=2,
        env={"X": "1"},
    )


@pytest.mark.parametrize("body", [b"{}", b'{"version": 0}', b'{"version": 1, "x": 1}', b'{"version": "1"}'])
def test_a_live_change_names_one_version(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=LiveChange)


def test_a_scale_change_keeps_what_it_leaves_out() -> None:
    assert msgspec.json.decode(b'{"max": 3}', type=ScaleChange) == ScaleChange(min=None, max=3)
