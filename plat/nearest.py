"""The nearest known word to a mistyped one, for messages that help."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str | None:
    matches = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?` with a leading space, or nothing."""
    match = nearest(word, known)
    return f' Did you mean "{match}"?' if match else ""
