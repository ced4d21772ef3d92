"""Where a secret's value comes from."""

import io
from typing import Any

import pytest

from cli.failure import UsageFaultError
from cli.secret import given_value


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)

    def isatty(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"v", "v"),
        (b"v\n", "v"),
        (b"v\r\n", "v"),
        (b"v\n\n", "v\n"),
        (b"a\nb\n", "a\nb"),
        (b" v ", " v "),
        (b"", ""),
        ("ü".encode(), "ü"),
    ],
)
def test_all_of_stdin_but_its_last_line_break(data: bytes, value: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("sys.stdin", Stdin(data))
    assert given_value("A") == value


def test_what_is_no_text_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Stdin(b"key\xff"))
    with pytest.raises(UsageFaultError, match="not UTF-8") as caught:
        given_value("A")
    assert "key" not in str(caught.value)
