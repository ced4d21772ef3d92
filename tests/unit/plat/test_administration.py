"""Names of users and tokens, and what no text of a request shows."""

from typing import Any

import msgspec
import pytest

from plat.administration import SecretRequest, TokenId, TokenName, TokenRequest, UserName


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (UserName, ["ada", "a.b_c@d+e-f", "0", "a" * 63], ["", "Ada", "-a", "a b", "a" * 64, "ada\n", "ä"]),
        (TokenName, ["ci", "CI of Ada", "a.b_c@d+e-f", "9"], ["", " ci", "a" * 64, "ci\n", "a/b"]),
        (TokenId, ["abc123", "a" * 32], ["", "A", "a" * 33, "a-b", "a\n"]),
    ],
)
def test_names(kind: Any, good: list[str], bad: list[str]) -> None:
    assert [msgspec.convert(text, kind) for text in good] == good
    for text in bad:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(text, kind)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "ci", "scopes": []},
        {"name": "ci", "scopes": ["everything"]},
        {"name": "ci", "scopes": ["read"] * 101},
        {"name": "ci", "scopes": ["read"], "expires_at": "2026-01-01T00:00:00"},
        {"name": "ci", "scopes": ["read"], "expires": "2026-01-01T00:00:00Z"},
        {"name": "ci"},
    ],
    ids=["no scope", "unknown scope", "too many", "no time zone", "unknown field", "scopes left out"],
)
def test_a_token_that_may_not_be_asked_for(body: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(body, TokenRequest)


def test_a_request_s_text_does_not_show_the_secret() -> None:
    assert "hunter22" not in f"{SecretRequest('hunter22')!r} {SecretRequest('hunter22')}"
