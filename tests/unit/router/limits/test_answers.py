"""Headers that say which limit was reached, in the form of the draft: whole numbers only."""

import pytest

from router.limits.answers import REMEMBERED, InFlightAnswers, RateAnswers, line_pairs, policy


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
    once, slow = RateAnswers("f", 1, 1, of_token=True), RateAnswers("f", 0.1, 1, of_token=True)
    assert dict(once.refusal(0.2).headers)["RateLimit"] == '"token";r=0;t=1'
    assert dict(slow.refusal(8.1).headers)["RateLimit"] == '"token";r=0;t=9'
    assert slow.refusal(8.1).retry_after == "9"
    assert once.refusal(-1).retry_after == "1", "nobody knows how long: a second"
    assert dict(InFlightAnswers("f", 5).refusal(1).headers)["RateLimit"] == '"in-flight";r=0'


def test_refusals_are_shared() -> None:
    """An error for each would cost more than the rest of a refusal."""
    answers = RateAnswers("f", 1, 1, of_token=False)
    assert answers.refusal(0.2) is answers.refusal(0.7)
    assert answers.refusal(0.2) is not answers.refusal(1.2)


@pytest.mark.parametrize(
    ("rate", "left", "value"),
    [
        (10, 7, b'"token";r=7'),
        (10, 128, b'"token";r=128'),
        (10, 99_999, b'"token";r=99999'),
        (10, 0, b'"token";r=0;t=1'),
        (0.1, -1, b'"token";r=0;t=10'),
    ],
)
def test_what_an_admitted_call_is_told(rate: float, left: int, value: bytes) -> None:
    lines = RateAnswers("f", rate, 20, of_token=True).lines(left)[1]
    assert lines.startswith(b"\r\nRateLimit-Policy: ")
    assert dict(line_pairs(lines)) == {
        b"RateLimit-Policy": policy("token", rate, 20).encode(),
        b"RateLimit": value,
    }


@pytest.mark.parametrize(("left", "told"), [(128, 128), (129, 128), (20_000, 19_968), (19_967, 19_904)])
def test_many_that_are_left_are_told_in_steps(left: int, told: int) -> None:
    """Never more than there are. So few lines are all that there are, and each is written once."""
    answers = RateAnswers("f", 10, 20_000, of_token=False)
    down_to, lines = answers.lines(left)
    assert down_to == told
    assert lines.endswith(b";r=%d" % told)
    assert answers.lines(told) == (down_to, lines)
    assert len({answers.lines(each) for each in range(20_001)}) <= REMEMBERED


def test_lines_of_no_limit_are_no_headers() -> None:
    assert line_pairs(b"") == []
