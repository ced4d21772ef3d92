"""The files behind the log book: two of bounded size for each function. Blocks: runs on a thread.

`current` is appended to; over its limit it becomes `older`, and what was older is gone. `last` has the
time of the last line of each instance.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec

from plat.model import LogLine

FILE_LIMIT_BYTES = 5 * 1024 * 1024
INSTANCES_REMEMBERED = 1_000

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(LogLine)
_last_decoder = msgspec.json.Decoder(dict[str, datetime])


class LogFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: dict[str, dict[str, datetime]] = {}

    def write(self, lines: Iterable[LogLine]) -> None:
        """Raises OSError; lines of the functions before the failing one are kept then."""
        by_function: defaultdict[str, list[LogLine]] = defaultdict(list)
        for line in lines:
            by_function[line.function].append(line)
        for function, batch in by_function.items():
            self._append(self._folder / function, batch)
            self._remember(function, batch)

    def tail(self, function: str, count: int) -> list[LogLine]:
        """The last `count` lines; what a killed pool wrote only half is left out."""
        found: list[bytes] = []
        for name in ("current", "older"):
            if len(found) < count:
                found = _lines(self._folder / function / name)[-(count - len(found)) :] + found
        return [line for each in found if (line := _decode(each)) is not None]

    def remove(self, function: str) -> None:
        self._last.pop(function, None)
        shutil.rmtree(self._folder / function, ignore_errors=True)

    def last_written(self) -> dict[str, datetime]:
        """Of every instance of every function, as far as it is remembered."""
        for path in self._folder.glob("*/last"):
            self._last.setdefault(path.parent.name, _read_last(path))
        return {instance: time for times in self._last.values() for instance, time in times.items()}

    def _append(self, folder: Path, batch: list[LogLine]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        current = folder / "current"
        with current.open("ab+") as file:
            size = file.tell()
            if size and not _ends_with_line_break(current):
                file.write(b"\n")
            file.write(b"".join(_encoder.encode(line) + b"\n" for line in batch))
            size = file.tell()
        if size > FILE_LIMIT_BYTES:
            current.replace(folder / "older")

    def _remember(self, function: str, batch: list[LogLine]) -> None:
        path = self._folder / function / "last"
        if function not in self._last:
            self._last[function] = _read_last(path)
        times = self._last[function]
        for line in batch:
            times.pop(line.instance, None)
            times[line.instance] = line.time
        while len(times) > INSTANCES_REMEMBERED:
            del times[next(iter(times))]
        new = path.with_name(".last")
        new.write_bytes(_encoder.encode(times))
        new.replace(path)


def _ends_with_line_break(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def _decode(line: bytes) -> LogLine | None:
    try:
        return _decoder.decode(line)
    except msgspec.MsgspecError:
        return None


def _read_last(path: Path) -> dict[str, datetime]:
    try:
        return _last_decoder.decode(path.read_bytes())
    except (FileNotFoundError, msgspec.MsgspecError):
        return {}
