"""Scopes: what a pattern stands for, and what one scope allows of another."""

from fnmatch import fnmatchcase

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plat.scopes import Scope, allows, invoke_patterns, matches

patterns = st.text("ab-*", min_size=1, max_size=10)
names = st.text("ab-", max_size=10)


@given(patterns, names)
def test_a_pattern_is_what_fnmatch_makes_of_it(pattern: str, name: str) -> None:
    assert matches(pattern, name) == fnmatchcase(name, pattern)


@given(patterns, patterns, names)
def test_a_pattern_that_matches_a_pattern_matches_all_it_matches(wide: str, narrow: str, name: str) -> None:
    if matches(wide, narrow) and matches(narrow, name):
        assert matches(wide, name)


@pytest.mark.parametrize("pattern", ["[ab]", "?", "a.c", "a\\*"])
def test_nothing_but_the_asterisk_is_special(pattern: str) -> None:
    assert matches(pattern, pattern)
    assert not matches(pattern, "a")


def test_many_asterisks_take_no_time() -> None:
    """A matcher that goes back would not come to its end."""
    assert not matches("a*" * 31 + "b", "a" * 63)


@pytest.mark.parametrize(
    ("held", "wanted", "allowed"),
    [
        (["admin"], "admin", True),
        (["admin"], "deploy:hello", True),
        (["admin"], "invoke:*", True),
        (["read"], "read", True),
        (["read"], "admin", False),
        (["read"], "invoke:hello", False),
        (["invoke:*"], "invoke:hello", True),
        (["invoke:*"], "deploy:hello", False),
        (["invoke:*"], "read", False),
        (["invoke:*", "deploy:*"], "admin", False),
        (["deploy:shop-*"], "deploy:shop-cart", True),
        (["deploy:shop-*"], "deploy:shop-*", True),
        (["deploy:shop-*"], "deploy:shop-c*", True),
        (["deploy:shop-*"], "deploy:*", False),
        (["deploy:shop-*"], "deploy:shop*", False),
        (["read", "deploy:a", "deploy:b"], "deploy:b", True),
        ([], "read", False),
    ],
)
def test_what_scopes_allow(held: list[str], wanted: str, allowed: bool) -> None:
    assert allows(held, wanted) is allowed


@pytest.mark.parametrize("scope", ["admin", "read", "deploy:*", "invoke:hello", "invoke:shop-*-eu"])
def test_scopes(scope: str) -> None:
    assert msgspec.convert(scope, Scope) == scope


@pytest.mark.parametrize(
    "scope",
    [
        "",
        "Admin",
        "root",
        "invoke",
        "invoke:",
        "invoke:a b",
        "invoke:A",
        "read:*",
        "admin\n",
        "deploy:" + "a" * 64,
    ],
)
def test_no_scopes(scope: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(scope, Scope)


def test_the_patterns_of_functions_that_may_be_called() -> None:
    assert invoke_patterns(["read", "invoke:a", "deploy:b", "invoke:c-*", "invoke:a"]) == ("a", "c-*")
    assert invoke_patterns(["admin"]) == ("*",)
    assert invoke_patterns(["read"]) == ()
