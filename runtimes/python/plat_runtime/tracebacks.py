"""Tracebacks as the function's author wants to see them: without our frames and importlib's."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from types import TracebackType

_OURS = str(Path(__file__).resolve().parent)
_CUT = (_OURS, "<frozen importlib", str(importlib.__file__))


def is_ours(filename: str) -> bool:
    return filename.startswith(_CUT)


def has_user_frame(trace: TracebackType | None) -> bool:
    while trace is not None:
        if not is_ours(trace.tb_frame.f_code.co_filename):
            return True
        trace = trace.tb_next
    return False


def user_traceback(error: BaseException) -> str:
    """The traceback as text, ending with a line break, our frames cut from it and from its causes."""
    whole = traceback.TracebackException.from_exception(error)
    _cut(whole, set())
    lines = list(whole.format())
    if not whole.stack:
        lines = [line for line in lines if line != "Traceback (most recent call last):\n"]
    return "".join(lines)


def _cut(part: traceback.TracebackException | None, seen: set[int]) -> None:
    if part is None or id(part) in seen:
        return
    seen.add(id(part))
    part.stack[:] = [frame for frame in part.stack if not is_ours(frame.filename)]
    _cut(part.__cause__, seen)
    _cut(part.__context__, seen)
    for each in getattr(part, "exceptions", None) or ():  # of an exception group, Python 3.11
        _cut(each, seen)


def log_error(error: BaseException) -> None:
    """Write the traceback to the function's log in one piece, so that threads do not mix theirs."""
    sys.stderr.write(user_traceback(error))
    sys.stderr.flush()
