"""Calls that the fast path cannot decide: it hands them over, before anything is taken or counted.

The error is what such a call is answered where that is not possible any more.
"""

from plat.errors import PlatError


class StreamingOnlyError(PlatError):
    """The streaming path knows what to do."""


def of_a_page(function: str) -> StreamingOnlyError:
    """A page of another origin calls, and the answer has to say whether it may be read."""
    return StreamingOnlyError("starting", _changed(function), retry_after_s=1)


def unverified(function: str) -> StreamingOnlyError:
    """No signature was verified, or by keys that are not the function's any more."""
    return StreamingOnlyError("signing_key_unavailable", _changed(function), retry_after_s=1)


def _changed(function: str) -> str:
    return f'"{function}" was changed while the call waited: send it again.'
