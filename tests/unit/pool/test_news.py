"""What control says, as the pool, the routers and the logs notice it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from plat.feed import (
    FunctionDropped,
    FunctionEntry,
    FunctionPut,
    RouteDropped,
    RoutePut,
    Routes,
    RoutesPart,
    Table,
    TablePart,
    TokenDropped,
    TokenEntry,
    TokenPut,
    TokensPart,
)
from plat.parts import SLICE
from plat.tasks import spawn
from pool.news import News
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import Rig, connect, function, settle, states, told

END = TablePart([], last=True)
TOKEN = TokenEntry("t1", "ab" * 32, ("admin",))
OTHER = TokenEntry("t2", "cd" * 32, ("read",))


class Told:
    """A pool with one router, and the names whose logs were dropped."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.forgotten: list[str] = []
        self.news = News(rig.table, rig.dispatcher, self.forgotten.append)
        connect(rig, "r1")

    async def table(self, *functions: FunctionEntry, tokens: tuple[TokenEntry, ...] = (TOKEN,)) -> None:
        await self.news.hear(Table())
        await self.news.hear(TokensPart(list(tokens), last=True))
        for each in functions:
            await self.news.hear(TablePart([each]))
        await self.news.hear(END)
        await settle()

    def routes(self) -> list[str]:
        return [each.name for part in told(self.rig, RoutesPart) for each in part.routes]

    def silence(self) -> None:
        self.rig.sent["r1"].clear()


@pytest.fixture
async def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Told]:
    rig = Rig(tmp_path, MemoryDriver())
    await rig.open(monkeypatch)
    yield Told(rig)
    await settle()


async def test_routers_are_told_when_all_is_there(pool: Told) -> None:
    await pool.news.hear(Table())
    await pool.news.hear(TokensPart([TOKEN], last=True))
    await pool.news.hear(TablePart([function("a"), function("b")]))
    assert (pool.rig.sent["r1"], pool.news.loaded.is_set()) == ([], False)
    await pool.news.hear(END)
    assert told(pool.rig, Routes) == [Routes()]
    assert told(pool.rig, TokensPart) == [TokensPart([TOKEN]), TokensPart([], last=True)]
    assert (pool.routes(), pool.news.loaded.is_set()) == (["a", "b"], True)


async def test_a_table_told_again_tells_routers_only_what_differs(pool: Told) -> None:
    await pool.table(function("same"), function("changed"), function("gone"))
    pool.silence()
    await pool.table(function("same"), function("changed", number=2), function("new"))
    assert [each.route.name for each in told(pool.rig, RoutePut)] == ["changed", "new"]
    assert told(pool.rig, RouteDropped) == [RouteDropped("gone")]
    assert (told(pool.rig, Routes), pool.forgotten) == ([], ["gone"])


async def test_of_tokens_only_what_differs_is_told(pool: Told) -> None:
    changed = msgspec.structs.replace(OTHER, scopes=("invoke:a",))
    gone = msgspec.structs.replace(TOKEN, id="t3", digest="ef" * 32)
    await pool.table(function("a"), tokens=(TOKEN, OTHER, gone))
    pool.silence()
    await pool.table(function("a"), tokens=(TOKEN, changed))
    assert pool.rig.sent["r1"] == [TokenPut(changed), TokenDropped("t3")]


async def test_a_change_of_tokens_is_told_to_every_router_at_once(pool: Told) -> None:
    connect(pool.rig, "r2")
    await pool.table(function("a"))
    for router in ("r1", "r2"):
        pool.rig.sent[router].clear()
    for message in (TokenPut(OTHER), TokenPut(OTHER), TokenDropped("t2"), TokenDropped("t2")):
        await pool.news.hear(message)
    assert pool.rig.sent["r1"] == pool.rig.sent["r2"] == [TokenPut(OTHER), TokenDropped("t2")]


async def test_tokens_are_right_though_the_table_breaks_off_after_them(pool: Told) -> None:
    await pool.table(function("a"))
    pool.silence()
    await pool.news.hear(Table())
    await pool.news.hear(TokensPart([OTHER]))
    assert pool.rig.sent["r1"] == [TokenPut(OTHER)]
    await pool.news.hear(TokensPart([], last=True))
    assert pool.rig.sent["r1"] == [TokenPut(OTHER), TokenDropped("t1")]
    assert list(pool.rig.table.tokens.now()) == [OTHER]


async def test_a_table_that_breaks_off_drops_nothing(pool: Told) -> None:
    await pool.table(function("a"), function("b", minimum=1))
    await settle()
    pool.silence()
    await pool.news.hear(Table())
    await pool.news.hear(TablePart([function("a")]))
    assert pool.rig.sent["r1"] == []
    await pool.table(function("a"), function("b", minimum=1))
    assert (pool.rig.sent["r1"], len(states(pool.rig))) == ([], 1)


async def test_changes_between_parts_are_part_of_the_table(pool: Told) -> None:
    await pool.table(function("a"), function("b"))
    await pool.news.hear(Table())
    await pool.news.hear(FunctionPut(function("new")))
    await pool.news.hear(TablePart([function("a"), function("b")]))
    await pool.news.hear(FunctionDropped("a"))
    await pool.news.hear(END)
    assert pool.rig.table.managed_names == {"b", "new"}


async def test_a_change_that_changes_nothing_is_told_all_the_same(pool: Told) -> None:
    """Control says it again when the pool may have missed what it meant."""
    await pool.table(function("a"))
    pool.silence()
    await pool.news.hear(FunctionPut(function("a")))
    assert [each.route.name for each in told(pool.rig, RoutePut)] == ["a"]


async def test_others_have_their_turn_while_a_long_table_ends(pool: Told) -> None:
    await pool.table(*(function(f"f{number}") for number in range(3 * SLICE)))
    sizes: list[int] = []

    async def look() -> None:
        while len(sizes) < 10:
            sizes.append(len(pool.rig.table.managed_names))
            await asyncio.sleep(0)

    looking = spawn(look(), "look")
    await pool.news.hear(Table())
    await pool.news.hear(END)
    await looking
    assert {3 * SLICE, 2 * SLICE, SLICE, 0} <= set(sizes)
