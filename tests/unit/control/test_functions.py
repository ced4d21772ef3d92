"""The rules of functions: what is allowed, what a change means, what others are told."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from control import functions as rules
from control.rows import FunctionRow, VersionRow
from control.secret_book import SecretBook
from plat.errors import PlatError
from plat.model import (
    Access,
    Artifact,
    FunctionSpec,
    Hmac,
    Limits,
    Scale,
    ScaleChange,
    VersionError,
    VersionSpec,
    Window,
)
from plat.signing import Signing

NOW = datetime(2026, 1, 2, tzinfo=UTC)
WINDOW = Window("* 8-17 * * mon-fri", 3)
SPEC = FunctionSpec(name="hello", env={"A": "1"})
FUNCTION = FunctionRow(name="hello", spec=SPEC, live=2, stopped=True, created_at=NOW, updated_at=NOW)
VERSION = VersionRow(
    id="0123456789abcdef",
    function="hello",
    number=2,
    state="ready",
    spec=VersionSpec.of(SPEC),
    digest="d" * 64,
    size_bytes=10,
    error=None,
    created_at=NOW,
)


@pytest.mark.parametrize("name", ["a", "hello", "a-b", "0", "a" * 63])
def test_good_names(name: str) -> None:
    rules.require_name(name)


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a.b", "a/b", "ä", "a\n", "a" * 64, " a"])
def test_bad_names(name: str) -> None:
    with pytest.raises(PlatError, match="1 to 63 lower-case") as caught:
        rules.require_name(name)
    assert caught.value.code == "invalid"


@pytest.mark.parametrize("body", [{}, {"name": "hello"}])
def test_the_name_may_be_left_to_the_path(body: dict[str, Any]) -> None:
    assert rules.merged_spec("hello", body) == FunctionSpec(name="hello")


def test_a_put_replaces_all_that_it_does_not_say_by_defaults() -> None:
    spec = rules.merged_spec("hello", {"scale": {"max": 3}, "access": {"auth": "public"}})
    assert spec == FunctionSpec(name="hello", scale=Scale(max=3), access=Access(auth="public"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"name": "other"}, "name = 'other'"),
        ({"name": None}, "name = None"),
        ({"nam": "hello"}, 'Did you mean "name"?'),
        ({"scale": {"idle": 1}}, 'Did you mean "scale.idle_s"?'),
        ({"scale": {"max": 1001}}, "scale.max = 1001: expected a whole number from 1 to 1000"),
        ({"scale": {"max": "3"}}, 'scale.max = "3"'),
        ({"scale": {"min": 3, "max": 2}}, "min = 3: expected at most max, which is 2"),
        ({"scale": 3}, "scale = 3"),
        ({"scale": {"pause_after_s": False}}, "scale.pause_after_s = false: expected a number from 0.1"),
        ({"scale": {"window": [{"cron": "* 24 * * *", "min": 1}]}}, 'scale.window[0].cron = "* 24 * * *"'),
        ({"limits": {"timeout_s": 0}}, "limits.timeout_s = 0"),
        ({"limits": {"burst": 5}}, "burst = 5: it needs rate"),
        ({"handler": "handler"}, "main.handler"),
        ({"runtime": "ruby"}, '"node" or "python"'),
        ({"access": {"auth": "none"}}, '"public" or "token"'),
        ({"env": {"A-B": "x"}}, '"A-B"'),
        ({"env": {"A": None}}, "env.A = null"),
        ("text", "expected a table"),
        (None, "expected a table"),
    ],
)
def test_a_bad_body_is_told_key_value_and_what_is_allowed(body: Any, words: str) -> None:
    with pytest.raises(PlatError) as caught:
        rules.merged_spec("hello", body)
    assert caught.value.code == "invalid"
    assert words in caught.value.detail


def test_scaling_keeps_what_is_left_out() -> None:
    assert rules.scaled(SPEC, ScaleChange(min=1)).scale == Scale(min=1)
    assert rules.scaled(SPEC, ScaleChange(max=3)).scale == Scale(max=3)
    assert rules.scaled(SPEC, ScaleChange(min=0, max=1)).scale == Scale(min=0, max=1)
    assert rules.scaled(SPEC, ScaleChange(pause_after_s=5)).scale == Scale(pause_after_s=5)
    assert rules.scaled(SPEC, ScaleChange()) == SPEC


def test_scaling_below_a_window_is_refused() -> None:
    spec = msgspec.structs.replace(SPEC, scale=Scale(window=[WINDOW]))
    assert rules.scaled(spec, ScaleChange(max=3)).scale.window == [WINDOW]
    with pytest.raises(PlatError, match=r"scale\.window\[0\]\.min = 3: expected at most max, which is 2\."):
        rules.scaled(spec, ScaleChange(max=2))


@pytest.mark.parametrize("change", [ScaleChange(min=21), ScaleChange(min=5, max=4)])
def test_scaling_to_min_over_max_is_refused(change: ScaleChange) -> None:
    with pytest.raises(PlatError, match=r"scale\.min") as caught:
        rules.scaled(SPEC, change)
    assert caught.value.code == "invalid"


@pytest.mark.parametrize(
    ("changes", "unchanged"),
    [
        ({}, True),
        ({"scale": Scale(max=9, min=2, idle_s=1, pause_after_s=1, window=[WINDOW])}, True),
        ({"access": Access(auth="public")}, True),
        ({"limits": Limits(rate=5, burst=2)}, True),
        ({"scale": Scale(concurrency=2)}, False),
        ({"limits": Limits(memory_mb=64)}, False),
        ({"limits": Limits(timeout_s=1)}, False),
        ({"limits": Limits(cpu=2)}, False),
        ({"runtime": "node"}, False),
        ({"handler": "main.other"}, False),
        ({"event": "http"}, False),
        ({"env": {}}, False),
    ],
)
def test_which_fields_make_a_new_version(changes: dict[str, Any], unchanged: bool) -> None:
    spec = VersionSpec.of(msgspec.structs.replace(SPEC, **changes))
    artifact = Artifact(digest=VERSION.digest, size_bytes=10, files=1)
    assert rules.is_unchanged(VERSION, artifact, spec) is unchanged


def test_other_code_or_no_live_version_is_a_change() -> None:
    other = Artifact(digest="e" * 64, size_bytes=10, files=1)
    assert not rules.is_unchanged(VERSION, other, VERSION.spec)
    assert not rules.is_unchanged(None, Artifact(VERSION.digest, 10, 1), VERSION.spec)


@pytest.mark.parametrize("state", ["building", "failed"])
def test_only_ready_versions_go_live(state: str) -> None:
    rules.require_deployable(VERSION)
    version = msgspec.structs.replace(VERSION, state=state, error=VersionError("x", "the reason"))
    with pytest.raises(PlatError, match="the reason") as caught:
        rules.require_deployable(version)
    assert caught.value.code == "version_not_deployable"


def test_what_users_see() -> None:
    function = rules.shown_function(FUNCTION, "https://example.org")
    assert (function.url, function.live, function.stopped) == ("https://example.org/function/hello", 2, True)
    assert rules.shown_version(VERSION, live=2).live
    assert not rules.shown_version(VERSION, live=3).live
    assert not rules.shown_version(VERSION, live=None).live
    assert rules.shown_version(VERSION, 2, unchanged=True).unchanged


def test_what_the_pool_is_told() -> None:
    spec = msgspec.structs.replace(
        SPEC,
        scale=Scale(min=1, max=3, idle_s=3, pause_after_s=2, window=[WINDOW]),
        limits=Limits(rate=4, burst=5),
        access=Access(auth="public"),
    )
    entry = rules.function_entry(msgspec.structs.replace(FUNCTION, spec=spec), [VERSION], SecretBook())
    assert (entry.name, entry.live, entry.stopped, entry.auth) == ("hello", 2, True, "public")
    assert (entry.min, entry.max, entry.idle_s, entry.rate, entry.burst) == (1, 3, 3, 4, 5)
    assert (entry.pause_after_s, entry.windows) == (2, (WINDOW,))
    (version,) = entry.versions
    assert (version.id, version.number, version.digest, version.spec) == (
        VERSION.id, 2, VERSION.digest, VERSION.spec,
    )  # fmt: skip


GITHUB = Hmac("X-Hub-Signature-256", "GITHUB")


def book(**values: str) -> SecretBook:
    book = SecretBook()
    for name, value in values.items():
        book.put(name, value)
    return book


def test_routers_are_told_keys_and_nobody_shows_them() -> None:
    access = Access(auth="public", cors=["https://app.example"], hmac=Hmac("X-S", ["NEW", "OLD"]))
    function = msgspec.structs.replace(FUNCTION, spec=msgspec.structs.replace(SPEC, access=access))
    entry = rules.function_entry(function, [], book(NEW="new-value", OLD="old-value", OTHER="x"))
    assert (entry.auth, entry.cors) == ("signed", ("https://app.example",))
    assert entry.signing == Signing("X-S", "sha256", (b"new-value", b"old-value"))
    assert "value" not in repr(entry)
    assert b"value" not in msgspec.json.encode(rules.shown_function(function, "https://example.org"))


def test_a_secret_that_is_not_at_hand_leaves_its_key_out() -> None:
    assert rules.signing_of(None, book()) is None
    for values in ({}, {"GITHUB": ""}):
        assert rules.signing_of(GITHUB, book(**values)) == Signing("X-Hub-Signature-256", "sha256", ())


@pytest.mark.parametrize(
    ("hmac", "values", "said"),
    [
        (GITHUB, {}, 'There is no secret "GITHUB"'),
        (GITHUB, {"GITHUB": ""}, "expected some text"),
        (Hmac("X-S", ["GITHUB", "OLD"]), {"GITHUB": "x"}, 'There is no secret "OLD"'),
        (
            Hmac("webhook-signature", "A", "standard-webhooks"),
            {"A": "hunter2!"},
            "expected whsec_ and base64",
        ),
    ],
)
def test_keys_that_must_be_there(hmac: Hmac, values: dict[str, str], said: str) -> None:
    with pytest.raises(PlatError) as caught:
        rules.require_keys(hmac, book(**values))
    assert said in caught.value.detail and "hunter2" not in caught.value.detail


def test_keys_that_are() -> None:
    rules.require_keys(None, book())
    rules.require_keys(GITHUB, book(GITHUB="x"))
    rules.require_keys(Hmac("webhook-signature", "A", "standard-webhooks"), book(A="whsec_YWJj"))
