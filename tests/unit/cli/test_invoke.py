"""What a call is made of: its body, its content type, its headers."""

from pathlib import Path

import pytest

from cli.failure import UsageFaultError
from cli.invoke import SNIFFED_BYTES, content_type, parse_header, read_body


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", "application/json"),
        (b' [1, "x"] ', "application/json"),
        (b"3", "application/json"),
        (b"null", "application/json"),
        (b"{broken", "text/plain; charset=utf-8"),
        ("grüße".encode(), "text/plain; charset=utf-8"),
        (b"", "text/plain; charset=utf-8"),
        (b"\xff\xfe", "application/octet-stream"),
        (b'{"a": "\xff"}', "application/octet-stream"),
        (b"[" * 100_000, "text/plain; charset=utf-8"),
        (b"1" * (SNIFFED_BYTES + 1), "application/octet-stream"),
        (Path("large"), "application/octet-stream"),
    ],
)
def test_content_types(body: bytes | Path, kind: str) -> None:
    assert content_type(body) == kind


def test_bodies(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"\x00\x01")
    large.write_bytes(b"x" * (SNIFFED_BYTES + 1))
    assert read_body(None) is None
    assert read_body("grüße") == "grüße".encode()
    assert read_body("") == b""
    assert read_body(f"@{small}") == b"\x00\x01"
    assert read_body(f"@{large}") == large


def test_a_file_that_is_none_is_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageFaultError, match="is no file: give -d @FILE one that exists"):
        read_body(f"@{tmp_path}")


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("X-Mine: 1", ("X-Mine", "1")),
        ("content-type:text/csv", ("Content-Type", "text/csv")),
        ("X-Time: 12:30", ("X-Time", "12:30")),
        ("X-Empty:", ("X-Empty", "")),
    ],
)
def test_headers(text: str, header: tuple[str, str]) -> None:
    assert parse_header(text) == header


@pytest.mark.parametrize("text", ["", "no colon", ": value", "  : value"])
def test_what_is_no_header_is_usage(text: str) -> None:
    with pytest.raises(UsageFaultError, match="is no header"):
        parse_header(text)
