"""Cutting what an instance writes into lines. No I/O."""

LINE_LIMIT_BYTES = 64 * 1024
"""A longer line is cut in pieces of this size, so that one line cannot fill the memory of the pool."""


def cut(data: bytes, *, final: bool = False) -> tuple[list[str], int]:
    """The whole lines at the start of `data`, and how many bytes they took.

    `final`: nothing more will come, so the rest is a line too.
    """
    messages = []
    start = 0
    while (end := _end_of_line(data, start, final)) is not None:
        stop, after = end
        messages.append(text(data[start:stop]))
        start = after
    return messages, start


def text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")


def _end_of_line(data: bytes, start: int, final: bool) -> tuple[int, int] | None:
    """Where the line's text ends, and where the next line begins."""
    newline = data.find(b"\n", start, start + LINE_LIMIT_BYTES + 1)
    if newline >= 0:
        return newline, newline + 1
    if len(data) - start > LINE_LIMIT_BYTES:
        piece = _whole_characters(data, start + LINE_LIMIT_BYTES)
        return piece, piece
    if final and start < len(data):
        return len(data), len(data)
    return None


def _whole_characters(data: bytes, end: int) -> int:
    """At most three bytes before `end`: where no UTF-8 character is cut in two."""
    for back in range(4):
        if data[end - back] & 0b1100_0000 != 0b1000_0000:
            return end - back
    return end
