"""Cutting output into lines: nothing lost, nothing invented, no character cut in two."""

from hypothesis import given
from hypothesis import strategies as st

from pool.drivers.lines import LINE_LIMIT_BYTES, cut


def test_whole_lines_are_taken_and_the_rest_is_left() -> None:
    assert cut(b"one\ntwo\r\n\nthr") == (["one", "two", ""], 10)


def test_at_the_end_the_rest_is_a_line() -> None:
    assert cut(b"one\ntwo", final=True) == (["one", "two"], 7)
    assert cut(b"one\n", final=True) == (["one"], 4)
    assert cut(b"", final=True) == ([], 0)


def test_what_is_no_utf_8_is_shown_as_such() -> None:
    assert cut(b"a\xffb\n") == (["a\ufffdb"], 4)


def test_a_line_of_just_the_limit_is_whole() -> None:
    line = b"x" * LINE_LIMIT_BYTES
    assert cut(line + b"\n") == ([line.decode()], LINE_LIMIT_BYTES + 1)
    assert cut(line) == ([], 0)


def test_a_longer_line_is_cut_between_characters() -> None:
    text = "x" + "ä€😀" * 40_000
    messages, used = cut(text.encode() + b"\n")
    assert "".join(messages) == text
    assert used == len(text.encode()) + 1
    assert all(len(message.encode()) <= LINE_LIMIT_BYTES for message in messages)


LINE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)


@given(st.lists(LINE, max_size=20), st.sets(st.integers(0, 1000), max_size=10))
def test_read_in_any_pieces_the_lines_are_the_same(lines: list[str], cuts: set[int]) -> None:
    content = "".join(line + "\n" for line in lines).encode()
    got: list[str] = []
    start = 0
    for end in [*sorted(cuts), len(content)]:
        messages, used = cut(content[start:end])
        got += messages
        start += used
    assert got == lines
