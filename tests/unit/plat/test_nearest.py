"""Suggestions: near words are named, far ones are not."""

import pytest

from plat.nearest import did_you_mean, nearest

KNOWN = ["hello", "thumbnail", "scale.max", "scale.min"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("helo", "hello"),
        ("hello", "hello"),
        ("thumbnails", "thumbnail"),
        ("scale.mx", "scale.max"),
        ("zebra", None),
        ("", None),
    ],
)
def test_nearest(word: str, expected: str | None) -> None:
    assert nearest(word, KNOWN) == expected


def test_said_as_a_sentence_with_a_leading_space_or_not_at_all() -> None:
    assert did_you_mean("helo", KNOWN) == ' Did you mean "hello"?'
    assert did_you_mean("zebra", KNOWN) == ""
    assert did_you_mean("anything", []) == ""
