"""Lines of a service's stderr: whole ones are passed on, the last one is remembered."""

import pytest

from cli.relay import KEPT_BYTES, Relay, cause_in


def test_only_whole_lines_are_passed_on() -> None:
    relay = Relay()
    assert relay.feed(b"one\ntw") == b"one\n"
    assert relay.last_line == "one"
    assert relay.feed(b"o") == b""
    assert relay.feed(b"\nthree\nfo") == b"two\nthree\n"
    assert relay.last_line == "three"
    assert relay.end() == b"fo\n"
    assert relay.last_line == "fo"
    assert relay.end() == b""


def test_empty_lines_do_not_hide_the_last_words() -> None:
    relay = Relay()
    assert relay.feed(b"last words\n\n  \n") == b"last words\n\n  \n"
    assert relay.last_line == "last words"


def test_a_line_without_end_is_passed_on_in_pieces() -> None:
    relay = Relay()
    written = b"".join(relay.feed(b"x" * 1000) for _ in range(200)) + relay.end()
    assert written == b"x" * 200_000 + b"\n"
    assert len(relay.last_line) <= KEPT_BYTES


def test_bytes_that_are_no_text_are_shown_somehow() -> None:
    relay = Relay()
    relay.feed(b"\xff\xfe oops\n")
    assert relay.last_line.endswith("oops")


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("", ""),
        ("Killed\n", "Killed"),
        ('{"message": "core failed", "detail": "Port 1 is in use."}', "Port 1 is in use."),
        ('{"message": "core failed", "exception": "Traceback\\n  x\\nValueError: no\\n"}', "ValueError: no"),
        ('{"message": "core failed"}', "core failed"),
        ('{"other": 1}', '{"other": 1}'),
        ("[1]", "[1]"),
        ("{broken", "{broken"),
    ],
)
def test_what_a_line_says(line: str, cause: str) -> None:
    assert cause_in(line) == cause
