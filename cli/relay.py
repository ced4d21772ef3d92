"""What a service writes to stderr: passed on line by line, the last line kept for the report of its death."""

import json

KEPT_BYTES = 64 * 1024


class Relay:
    """Feed it what was read; it gives back whole lines, so that those of two services do not mix."""

    def __init__(self) -> None:
        self._rest = b""
        self.last_line = ""

    def feed(self, data: bytes) -> bytes:
        """The complete lines in what has come so far; a line that grows too long is passed on in pieces."""
        whole, line_break, rest = (self._rest + data).rpartition(b"\n")
        if len(rest) > KEPT_BYTES:
            whole, line_break, rest = whole + line_break + rest, b"", b""
        self._rest = rest
        self._remember(whole)
        return whole + line_break

    def end(self) -> bytes:
        """A last line without its break."""
        rest, self._rest = self._rest, b""
        self._remember(rest)
        return rest + b"\n" if rest else b""

    def _remember(self, whole: bytes) -> None:
        if text := whole[-KEPT_BYTES:].rstrip():
            self.last_line = text.rpartition(b"\n")[2].decode(errors="replace")


def cause_in(line: str) -> str:
    """What a log line of ours says: its detail, its exception, its message; or else the line itself."""
    try:
        fields = json.loads(line)
    except ValueError:
        return line.strip()
    if not isinstance(fields, dict):
        return line.strip()
    exception = str(fields.get("exception") or "").strip().rpartition("\n")[2]
    return str(fields.get("detail") or exception or fields.get("message") or line).strip()
