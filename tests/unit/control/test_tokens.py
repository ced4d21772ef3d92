"""Bearer tokens: read from a header, compared by digest."""

import pytest

from control.tokens import bearer_of, digest_of, is_known


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER  abc ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        ("", None),
    ],
)
def test_the_token_of_a_header(header: str, token: str | None) -> None:
    assert bearer_of(header) == token


def test_a_digest_is_sha256_in_hexadecimal() -> None:
    assert digest_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_any_text_has_a_digest() -> None:
    assert digest_of("grüße \udcff") != digest_of("grüße")


def test_a_token_is_known_by_its_digest_only() -> None:
    digests = [digest_of("one"), digest_of("two")]
    assert is_known("one", digests)
    assert is_known("two", digests)
    assert not is_known("three", digests)
    assert not is_known(digests[0], digests)
    assert not is_known("one", [])
