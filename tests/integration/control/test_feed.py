"""The function table as a pool receives it: the whole first, then each change in its order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web

from control.catalog import ENTRIES_AT_ONCE
from control.feed import Feed
from control.token_book import TokenBook
from control.tokens import digest_of
from plat.address import Address
from plat.errors import PlatError
from plat.feed import (
    FromControl,
    FunctionDropped,
    FunctionEntry,
    FunctionPut,
    Table,
    TablePart,
    TokensPart,
    decode_from_control,
)
from plat.model import Window
from plat.tasks import spawn
from plat.web import problems, session_for, start_site
from tests.integration.control.platform import TOKEN, Platform, code, platform_in, settings_in


class Listener:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.tokens: list[str] = []

    async def next(self) -> FromControl:
        message = await self.socket.receive(timeout=20)
        assert message.type is aiohttp.WSMsgType.BINARY, message
        decoded: FromControl = decode_from_control(message.data)
        return decoded

    async def begin(self) -> None:
        """The beginning of the table, with all tokens."""
        assert isinstance(await self.next(), Table)
        self.tokens = []
        while not (tokens := await self.tokens_part()).last:
            self.tokens += [each.digest for each in tokens.tokens]

    async def table(self) -> list[FunctionEntry]:
        """All functions, of all parts."""
        await self.begin()
        functions: list[FunctionEntry] = []
        while not (part := await self.part()).last:
            functions += part.functions
        return functions

    async def tokens_part(self) -> TokensPart:
        message = await self.next()
        assert isinstance(message, TokensPart)
        return message

    async def part(self) -> TablePart:
        message = await self.next()
        assert isinstance(message, TablePart)
        return message

    async def put(self) -> FunctionPut:
        message = await self.next()
        assert isinstance(message, FunctionPut)
        return message


@asynccontextmanager
async def listening(platform: Platform) -> AsyncIterator[Listener]:
    async with platform.call.session.ws_connect("/feed", headers={"Authorization": ""}) as socket:
        yield Listener(socket)


async def test_the_first_message_is_the_whole_table(platform: Platform) -> None:
    window = Window("* 8-17 * * mon-fri", 3)
    scale = {"min": 1, "max": 4, "pause_after_s": 7, "window": [msgspec.to_builtins(window)]}
    await platform.call.create("b", scale=scale, limits={"rate": 5})
    await platform.call.create("a")
    await platform.call.deploy("b")
    async with listening(platform) as listener:
        table = await listener.table()
    assert listener.tokens == [digest_of(TOKEN)]
    assert [each.name for each in table] == ["a", "b"]
    a, b = table
    assert (a.live, a.versions, a.pause_after_s, a.windows) == (None, (), 30, ())
    assert (b.pause_after_s, b.windows) == (7, (window,))
    assert (b.live, b.min, b.max, b.rate, b.auth, b.idle_s) == (1, 1, 4, 5, "token", 60)
    assert [(each.function, each.number) for each in b.versions] == [("b", 1)]


async def test_every_change_is_told(platform: Platform) -> None:
    async with listening(platform) as listener:
        assert await listener.table() == []
        await platform.call.create("hello")
        assert (await listener.put()).function.live is None
        await platform.call.deploy("hello")
        first = (await listener.put()).function
        assert (first.live, len(first.versions), len(first.versions[0].id)) == (1, 1, 16)
        await platform.call.deploy("hello", code("v2"))
        assert (await listener.put()).function.live == 2
        await platform.call("PUT", "/v1/functions/hello/live", {"version": 1})
        rolled_back = (await listener.put()).function
        assert (rolled_back.live, [each.number for each in rolled_back.versions]) == (1, [2, 1])
        await platform.call("PUT", "/v1/functions/hello/scale", {"max": 9})
        assert (await listener.put()).function.max == 9
        await platform.call("POST", "/v1/functions/hello/stop")
        assert (await listener.put()).function.stopped
        await platform.call("PUT", "/v1/functions/hello", {"access": {"auth": "public"}, "scale": {"max": 2}})
        changed = (await listener.put()).function
        assert (changed.auth, changed.max, changed.stopped) == ("public", 2, True)
        await platform.call("DELETE", "/v1/functions/hello")
        assert await listener.next() == FunctionDropped(name="hello")


async def test_what_changes_nothing_is_not_told(platform: Platform) -> None:
    async with listening(platform) as listener:
        await listener.table()
        await platform.call.create("hello")
        await listener.put()
        await platform.call("PUT", "/v1/functions/hello", {})
        await platform.call("POST", "/v1/functions/hello/start")
        await platform.call("PUT", "/v1/functions/hello/scale", {})
        await platform.call("DELETE", "/v1/functions/hello")
        assert await listener.next() == FunctionDropped(name="hello")


async def test_a_failed_deploy_is_not_told(platform: Platform) -> None:
    async with listening(platform) as listener:
        await listener.table()
        await platform.call.create("hello")
        await listener.put()
        platform.pool.problem = PlatError("handler_not_found", "no")
        await platform.call.deploy("hello")
        await platform.call("POST", "/v1/functions/hello/stop")
        entry = (await listener.put()).function
        assert (entry.stopped, entry.versions) == (True, ())


async def test_a_deploy_into_a_deleted_function_tells_the_pool_again(platform: Platform) -> None:
    await platform.call.create("hello")
    async with listening(platform) as listener:
        await listener.table()
        platform.pool.hold()
        deploy = spawn(platform.call.deploy("hello"), "deploy")
        await platform.pool.asked.wait()
        await platform.call("DELETE", "/v1/functions/hello")
        assert await listener.next() == FunctionDropped(name="hello")
        platform.pool.release()
        await deploy
        assert await listener.next() == FunctionDropped(name="hello")


async def test_the_last_word_is_the_truth_whatever_happens_at_once(platform: Platform) -> None:
    async with listening(platform) as listener:
        await listener.table()
        await platform.call.create("hello")
        await asyncio.gather(
            *(platform.call("PUT", "/v1/functions/hello/scale", {"max": n + 1}) for n in range(40))
        )
        truth = (await platform.call("GET", "/v1/functions/hello")).json["spec"]["scale"]["max"]
        await platform.call("POST", "/v1/functions/hello/stop")
        while not (entry := (await listener.put()).function).stopped:
            pass
        assert entry.max == truth


async def test_versions_of_the_table_have_a_bound_and_always_the_live_one(platform: Platform) -> None:
    await platform.call.create("hello")
    for number in range(53):
        assert (await platform.call.deploy("hello", code(f"v{number}"))).status == 201
    await platform.call("PUT", "/v1/functions/hello/live", {"version": 1})
    async with listening(platform) as listener:
        (entry,) = await listener.table()
    assert [each.number for each in entry.versions] == [*range(53, 3, -1), 1]


async def test_a_reconnect_begins_with_the_whole_table(platform: Platform) -> None:
    async with listening(platform) as listener:
        await listener.table()
    await platform.call.create("hello")
    async with listening(platform) as listener:
        assert [each.name for each in await listener.table()] == ["hello"]


async def test_a_long_table_is_told_in_parts_with_changes_in_between(platform: Platform) -> None:
    names = [f"f{number:03}" for number in range(3 * ENTRIES_AT_ONCE)]
    await asyncio.gather(*(platform.call.create(name) for name in names))
    async with listening(platform) as listener:
        await listener.begin()
        first = await listener.part()
        await platform.call("DELETE", f"/v1/functions/{names[-1]}")
        await platform.call.create("new")
        known = {each.name for each in first.functions}
        changed: list[str] = []
        sizes = [len(first.functions)]
        is_whole = False
        while not is_whole or len(changed) < 2:
            match await listener.next():
                case TablePart(functions, last):
                    known |= {each.name for each in functions}
                    sizes.append(len(functions))
                    is_whole = last
                case FunctionPut(function):
                    known.add(function.name)
                    changed.append(function.name)
                case FunctionDropped(name):
                    known.discard(name)
                    changed.append(name)
        assert known == {*names[:-1], "new"}
        assert changed == [names[-1], "new"]
        assert max(sizes) <= ENTRIES_AT_ONCE


async def test_functions_that_cannot_be_read_end_the_connection(tmp_path: Path) -> None:
    """The listener begins anew; silence would leave it with half a table."""

    async def fail(after: str, tell: object) -> str | None:
        raise PlatError("database_unavailable", "It is away.")

    async def page(request: web.Request) -> web.StreamResponse:
        return await Feed().serve(request, TokenBook(), fail)

    app = web.Application(middlewares=[problems])
    app.router.add_get("/feed", page)
    address = Address(path=str(tmp_path / "control.sock"))
    runner = await start_site(app, address)
    async with session_for(address) as session, session.ws_connect("/feed") as socket:
        assert decode_from_control(await socket.receive_bytes()) == Table()
        assert decode_from_control(await socket.receive_bytes()) == TokensPart([], last=True)
        assert (await socket.receive(timeout=20)).type is not aiohttp.WSMsgType.BINARY
    await runner.cleanup()


async def test_stopping_says_goodbye_to_listeners(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    async with session_for(settings.control) as session:
        async with platform_in(settings):
            socket = await session.ws_connect("/feed")
            await socket.receive()
            closing = spawn(_until_closed(socket), "until closed")
        assert await closing == aiohttp.WSCloseCode.GOING_AWAY


async def _until_closed(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    async for _ in socket:
        pass
    return socket.close_code
