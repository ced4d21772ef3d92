"""Tokens on their way to routers, and their uses on the way to control."""

import asyncio

import pytest

from plat.feed import TokenEntry, TokensUsed
from plat.tasks import cancel, spawn
from pool.tokens import TokenTable, UsedTokens


def entry(identity: str, *scopes: str) -> TokenEntry:
    return TokenEntry(identity, f"digest of {identity}", scopes)


def table_of(*identities: str) -> TokenTable:
    table = TokenTable()
    for each in identities:
        table.put(entry(each))
    return table


def test_what_changes_nothing_is_said_to() -> None:
    table = TokenTable()
    assert table.put(entry("a"))
    assert not table.put(entry("a"))
    assert table.put(entry("a", "read"))
    assert list(table.now()) == [entry("a", "read")]
    assert table.drop("a")
    assert not table.drop("a")


def test_a_table_told_again_is_merged() -> None:
    table = table_of("a", "b")
    table.begin()
    table.put(entry("b"))
    table.put(entry("c"))
    assert sorted(each.id for each in table.now()) == ["a", "b", "c"]
    assert table.end() == ["a"]
    assert sorted(each.id for each in table.now()) == ["b", "c"]


def test_a_table_that_breaks_off_drops_nothing() -> None:
    table = table_of("a", "b")
    table.begin()
    table.put(entry("a"))
    table.begin()
    table.put(entry("b"))
    assert table.end() == ["a"]


def test_tokens_that_go_while_they_are_told() -> None:
    table = table_of("a", "b", "c")
    told = table.now()
    assert next(told).id == "a"
    table.drop("b")
    table.put(entry("c", "read"))
    assert list(told) == [entry("c", "read")]


async def test_uses_are_told_together_and_each_once() -> None:
    used = UsedTokens()
    taking = spawn(used.take(), "take")
    await asyncio.sleep(0)
    used.note({})
    await asyncio.sleep(0)
    assert not taking.done()
    used.note({"a": 2.0, "b": 1.0})
    used.note({"a": 1.0, "c": 3.0})
    assert await taking == TokensUsed({"a": 2.0, "b": 1.0, "c": 3.0})
    used.note({"a": 4.0})
    assert await used.take() == TokensUsed({"a": 4.0})


async def test_a_taker_that_was_cancelled_takes_nothing() -> None:
    used = UsedTokens()
    taking = spawn(used.take(), "take")
    await asyncio.sleep(0)
    used.note({"a": 1.0})
    await cancel(taking)
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert await used.take() == TokensUsed({"a": 1.0})
