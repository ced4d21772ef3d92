"""The function table as a pool receives it: the whole first, then each change in its order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec

from control.tokens import digest_of
from plat.errors import PlatError
from plat.feed import FromControl, FunctionDropped, FunctionPut, Table, decode_from_control
from plat.model import Window
from plat.tasks import spawn
from plat.web import session_for
from tests.integration.control.platform import TOKEN, Platform, code, platform_in, settings_in


class Listener:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def next(self) -> FromControl:
        message = await self.socket.receive(timeout=20)
        assert message.type is aiohttp.WSMsgType.BINARY, message
        decoded: FromControl = decode_from_control(message.data)
        return decoded

    async def table(self) -> Table:
        message = await self.next()
        assert isinstance(message, Table)
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
    assert table.tokens == [digest_of(TOKEN)]
    assert [each.name for each in table.functions] == ["a", "b"]
    a, b = table.functions
    assert (a.live, a.versions, a.pause_after_s, a.windows) == (None, [], 30, [])
    assert (b.pause_after_s, b.windows) == (7, [window])
    assert (b.live, b.min, b.max, b.rate, b.auth, b.idle_s) == (1, 1, 4, 5, "token", 60)
    assert [(each.function, each.number) for each in b.versions] == [("b", 1)]


async def test_every_change_is_told(platform: Platform) -> None:
    async with listening(platform) as listener:
        assert (await listener.table()).functions == []
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
        assert (entry.stopped, entry.versions) == (True, [])


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
        (entry,) = (await listener.table()).functions
    assert [each.number for each in entry.versions] == [*range(53, 3, -1), 1]


async def test_a_reconnect_begins_with_the_whole_table(platform: Platform) -> None:
    async with listening(platform) as listener:
        await listener.table()
    await platform.call.create("hello")
    async with listening(platform) as listener:
        assert [each.name for each in (await listener.table()).functions] == ["hello"]


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
