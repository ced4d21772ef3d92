"""Headers that say which limit was reached, in the form of the draft: whole numbers only."""

import pytest

from router.limits.rate_headers import LimitLines, in_flight_headers, line_pairs, policy, rate_headers


@pytest.mark.parametrize(
    ("rate", "burst", "text"),
    [
        (100, 200, '"function";q=100;w=1;burst=200'),
        (2.5, 3, '"function";q=2;w=1;burst=3'),
        (0.1, 1, '"function";q=1;w=10;burst=1'),
        (0.3, 1, '"function";q=1;w=4;burst=1'),
    ],
)
def test_policies(rate: float, burst: int, text: str) -> None:
    assert policy("function", rate, burst) == text


def test_what_a_refused_call_is_told() -> None:
    assert dict(rate_headers("token", 1, 1, 0.2))["RateLimit"] == '"token";r=0;t=1'
    assert dict(rate_headers("token", 0.1, 1, 8.1))["RateLimit"] == '"token";r=0;t=9'
    assert dict(in_flight_headers(5))["RateLimit"] == '"in-flight";r=0'


@pytest.mark.parametrize(
    ("rate", "left", "value"),
    [
        (10, 7, b'"token";r=7'),
        (10, 1023, b'"token";r=1023'),
        (10, 100_000, b'"token";r=100000'),
        (10, 0, b'"token";r=0;t=1'),
        (0.1, -1, b'"token";r=0;t=10'),
    ],
)
def test_what_an_admitted_call_is_told(rate: float, left: int, value: bytes) -> None:
    lines = LimitLines("token", rate, 20).of(left)
    assert lines.startswith(b"\r\nRateLimit-Policy: ")
    assert dict(line_pairs(lines)) == {
        b"RateLimit-Policy": policy("token", rate, 20).encode(),
        b"RateLimit": value,
    }


def test_lines_of_no_limit_are_no_headers() -> None:
    assert line_pairs(b"") == []
