"""What a token may do: scopes, and the patterns of function names in them. Decides only.

A pattern is a function's name in which each `*` stands for any characters, or none; nothing else is special.
"""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

PREFIX = "plat_"
"""How a token begins that the platform has made, so that it is known for one wherever it turns up: in a log,
in a repository, on its way to a function. One that a user has chosen (`PLAT_TOKEN`) need not.
"""

ADMIN = "admin"
READ = "read"
DEPLOY = "deploy"
INVOKE = "invoke"

SCOPE_PATTERN = r"^(admin|read|(deploy|invoke):[a-z0-9*-]{1,63})$(?!\n)"

Scope = Annotated[
    str,
    Meta(
        pattern=SCOPE_PATTERN,
        description="admin, read, deploy:<pattern> or invoke:<pattern>; a pattern is a function's name,"
        " with * for any characters",
    ),
]


def matches(pattern: str, name: str) -> bool:
    """Whether `name` is one that `pattern` stands for; as a name, another pattern may be given.

    Its `*` is then a character that only a `*` matches: whatever that pattern matches, this one does too.
    Each piece is taken as early as it fits, so the time grows with pattern times name, never worse.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    *middle, last = rest
    end = len(name) - len(last)
    if not name.startswith(first) or not name.endswith(last) or end < len(first):
        return False
    place = len(first)
    for piece in middle:
        found = name.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True


def allows(held: Iterable[str], wanted: str) -> bool:
    """Whether somebody with the scopes `held` may do what the scope `wanted` says; `admin` may everything."""
    kind, _, target = wanted.partition(":")
    for scope in held:
        if scope in (ADMIN, wanted):
            return True
        own_kind, _, pattern = scope.partition(":")
        if target and own_kind == kind and matches(pattern, target):
            return True
    return False


def invoke_patterns(scopes: Iterable[str]) -> tuple[str, ...]:
    """The patterns of the functions that may be called."""
    patterns = dict.fromkeys(
        "*" if scope == ADMIN else scope.removeprefix(f"{INVOKE}:")
        for scope in scopes
        if scope == ADMIN or scope.startswith(f"{INVOKE}:")
    )
    return tuple(patterns)
