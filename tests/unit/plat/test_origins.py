"""Patterns of origins: what may be written, and which origins each lets in."""

import pytest

from plat.origins import allows, fault_of


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "https://app.example",
        "http://localhost:3000",
        "https://*.example.org",
        "https://*.example.org:8443",
        "http://[::1]:3000",
        "http://127.0.0.1",
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnop",
        "https://xn--bcher-kva.example",
    ],
)
def test_what_may_be_written(pattern: str) -> None:
    assert fault_of(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "expected a scheme"),
        ("null", "sandbox"),
        ("app.example", "expected a scheme"),
        ("//app.example", "expected a scheme"),
        ("://app.example", "expected a scheme"),
        ("https://", "expected a scheme"),
        ("https://app.example/", "without a path"),
        ("https://app.example/path", "without a path"),
        ("https://app.example?q", "without a path"),
        ("https://user@app.example", "or a user"),
        ("https://App.example", "lower-case"),
        ("HTTPS://app.example", "lower-case"),
        ("https://app.example:443", "leave it out"),
        ("http://app.example:80", "leave it out"),
        ("https://app.example:65536", "leave it out"),
        ("https://app.example:0", "expected a scheme"),
        ("https://app.example:", "expected a scheme"),
        ("https://*", "in the place of all sub-domains"),
        ("https://*example.org", "in the place of all sub-domains"),
        ("https://a.*.example.org", "in the place of all sub-domains"),
        ("https://*.*.example.org", "in the place of all sub-domains"),
        ("*://app.example", "expected a scheme"),
        ("https://app.example:*", "in the place of all sub-domains"),
        ("https://*.10.0.0.1", "no sub-domains"),
        ("https://*.[::1]", "no sub-domains"),
        ("https://b\xfccher.example", "expected a scheme"),
        ("https://app.example\n", "expected a scheme"),
        ("https://app.example, https://b.example", "without a path"),
        (" https://app.example", "expected a scheme"),
    ],
)
def test_what_may_not(pattern: str, said: str) -> None:
    assert said in (fault_of(pattern) or "")


@pytest.mark.parametrize(
    ("pattern", "allowed", "refused"),
    [
        ("*", ["https://app.example", "null", "http://localhost:1"], []),
        (
            "https://app.example",
            ["https://app.example"],
            [
                "http://app.example",
                "https://app.example:8443",
                "https://app.example.",
                "https://app.example.evil.example",
                "https://evilapp.example",
                "https://APP.example",
                "https://a.app.example",
                "null",
                "",
            ],
        ),
        (
            "https://*.example.org",
            ["https://a.example.org", "https://a.b-c.example.org", "https://x_y.example.org"],
            [
                "https://example.org",
                "https://.example.org",
                "https://evilexample.org",
                "https://a..example.org",
                "https://evil.example/.example.org",
                "https://evil.example:1.example.org",
                "https://a@b.example.org",
                "https://a.example.org:8443",
                "https://a.example.org.evil.example",
                "http://a.example.org",
                "xhttps://a.example.org",
                "https://*.example.org.evil",
            ],
        ),
        ("https://*.example.org:8443", ["https://a.example.org:8443"], ["https://a.example.org"]),
    ],
)
def test_which_origins_it_lets_in(pattern: str, allowed: list[str], refused: list[str]) -> None:
    assert [origin for origin in allowed if not allows([pattern], origin)] == []
    assert [origin for origin in refused if allows([pattern], origin)] == []


def test_one_pattern_is_enough() -> None:
    patterns = ("https://app.example", "https://*.example.org")
    assert allows(patterns, "https://a.example.org") and allows(patterns, "https://app.example")
    assert not allows(patterns, "https://other.example") and not allows((), "https://app.example")
