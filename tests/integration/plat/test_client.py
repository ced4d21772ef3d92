"""The client against a control API over real sockets."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from plat.client import PlatClient, RefusedError, UnreachableError
from plat.errors import PlatError
from plat.model import FunctionSpec, Scale
from tests.integration.cli.fake_control import TOKEN, TRACEBACK, FakeControl, running
from tests.unit.builder.zips import zip_of


@pytest.fixture
def control() -> FakeControl:
    control = FakeControl()
    control.add("hello", "ready", "failed", "ready")
    return control


@pytest.fixture
async def url(control: FakeControl) -> AsyncIterator[str]:
    async with running(control) as address:
        yield address


@pytest.fixture
async def plat(url: str) -> AsyncIterator[PlatClient]:
    async with PlatClient(url, TOKEN) as client:
        yield client


async def test_a_list_is_whole_however_many_pages_it_has(control: FakeControl, plat: PlatClient) -> None:
    for name in ("a", "b", "c", "z"):
        control.add(name)
    assert [function.name for function in await plat.list()] == ["a", "b", "c", "hello", "z"]
    assert [version.version for version in await plat.versions("hello")] == [3, 2, 1]


async def test_create_change_and_delete(plat: PlatClient) -> None:
    assert (await plat.put(FunctionSpec(name="new", scale=Scale(max=3)))).spec.scale.max == 3
    assert (await plat.scale("new", minimum=2)).spec.scale == Scale(min=2, max=3)
    assert (await plat.scale("new", maximum=5)).spec.scale == Scale(min=2, max=5)
    assert (await plat.scale("new", pause_after_s=9)).spec.scale == Scale(min=2, max=5, pause_after_s=9)
    assert (await plat.stop("new")).stopped
    assert not (await plat.start("new")).stopped
    await plat.delete("new")
    with pytest.raises(RefusedError, match='no function "new"'):
        await plat.get("new")


async def test_a_deploy_from_a_path_and_from_bytes(
    control: FakeControl, plat: PlatClient, tmp_path: Path
) -> None:
    archive = zip_of(("main.py", b"x" * 1_000_000))
    path = tmp_path / "code.zip"
    path.write_bytes(archive)
    told: list[str] = []
    version = await plat.deploy("hello", path, lambda: told.append("uploaded"))
    assert (version.version, version.unchanged, told) == (4, False, ["uploaded"])
    again = await plat.deploy("hello", archive)
    assert (again.version, again.unchanged) == (4, True)
    assert control.archives == [archive, archive]


async def test_a_deploy_that_fails_brings_the_user_s_traceback(plat: PlatClient) -> None:
    with pytest.raises(RefusedError) as refused:
        await plat.deploy("hello", zip_of(("broken.py", b"")))
    assert (refused.value.code, refused.value.status) == ("handler_import_failed", 422)
    assert refused.value.traceback == TRACEBACK
    assert len(refused.value.answer.call_id) == 24


async def test_versions_and_the_live_one(plat: PlatClient) -> None:
    assert (await plat.version("hello", 2)).state == "failed"
    assert (await plat.set_live("hello", 1)).live == 1
    with pytest.raises(RefusedError, match="no version 9"):
        await plat.version("hello", 9)


async def test_instances(plat: PlatClient) -> None:
    [instance] = await plat.instances("hello")
    assert (instance.version, instance.slots, instance.slots_held) == (3, 0, 2)


async def test_decisions(control: FakeControl, plat: PlatClient) -> None:
    control.add("thumbnail")
    first, second = await plat.decisions("hello")
    assert (first.start, first.stop, second.start) == (1, ["0123456789abcdef"], 2)
    assert await plat.decisions("thumbnail") == []


async def test_log_lines_of_any_length(plat: PlatClient) -> None:
    lines = [line async for line in plat.logs("hello", tail=3)]
    assert [line.stream for line in lines] == ["stdout", "stderr", "stderr"]
    assert len(lines[2].message) > 200_000


async def test_a_log_that_breaks_off_is_an_error_after_its_lines(plat: PlatClient) -> None:
    seen = []
    with pytest.raises(UnreachableError, match="broke"):
        async for line in plat.logs("hello", tail=1, follow=True):
            seen.append(line.message)
    assert seen == ["line 0 "]


@pytest.mark.parametrize(
    ("data", "method", "body"),
    [(None, "GET", b""), (b"\x00\xff", "POST", b"\x00\xff"), ("text", "POST", b"text"), (b"", "POST", b"")],
)
async def test_a_call(
    control: FakeControl, plat: PlatClient, data: bytes | str | None, method: str, body: bytes
) -> None:
    answer = await plat.invoke("hello", data, headers={"X-Mine": "1"}, path="/a b?c=d%2Fe", version=3)
    assert (answer.status, answer.headers["X-Method"], answer.body) == (200, method, body or b"nothing")
    [(_, path, headers, sent)] = control.calls
    assert (path, sent) == ("/function/hello:3/a%20b?c=d%2Fe", body)
    assert headers["X-Mine"] == "1"


async def test_a_call_with_a_large_file_is_streamed_both_ways(plat: PlatClient, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"0123456789" * 1_000_000)
    received = 0
    async with plat.stream("hello", path) as answer:
        async for chunk in answer.chunks():
            received += len(chunk)
    assert received == 10_000_000


async def test_a_function_s_own_answer_is_no_error_whatever_it_is(plat: PlatClient) -> None:
    assert (await plat.invoke("hello", path="/teapot")).status == 418
    own = await plat.invoke("hello", path="/own-problem")
    assert (own.status, own.json()) == (400, {"mine": 1})
    broken = await plat.invoke("hello", path="/no-utf-8")
    assert (broken.status, broken.body) == (500, b'{"type": "\xff"}')


@pytest.mark.parametrize("body", [b"", b"[]", b'{"items": "\xff"}', b'{"x": ' + b"[" * 100_000])
async def test_an_answer_no_platform_gives_is_an_error_that_says_so(body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body + b"\n")

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    async with TestServer(app) as server, PlatClient(str(server.make_url("")).rstrip("/"), TOKEN) as plat:
        with pytest.raises(PlatError, match="did not answer as a Plat of this version does") as failed:
            await plat.get("hello")
        assert failed.value.code == "internal"
        if body:
            with pytest.raises(PlatError, match="did not answer as a Plat of this version does"):
                [line async for line in plat.logs("hello")]


async def test_a_redirect_is_not_followed(plat: PlatClient) -> None:
    answer = await plat.invoke("hello", path="/moved")
    assert (answer.status, answer.headers["Location"]) == (302, "http://elsewhere.invalid/")


async def test_a_platform_s_answer_to_a_call_is_raised(plat: PlatClient) -> None:
    with pytest.raises(RefusedError) as refused:
        await plat.invoke("hello", path="/missing")
    assert refused.value.code == "function_not_found"


async def test_an_answer_that_is_cut_is_an_error(plat: PlatClient) -> None:
    with pytest.raises(UnreachableError, match="broke"):
        await plat.invoke("hello", path="/cut")


async def test_a_wrong_token(url: str) -> None:
    async with PlatClient(url, "wrong") as plat:
        with pytest.raises(RefusedError) as refused:
            await plat.list()
    assert (refused.value.code, refused.value.status) == ("unauthorized", 401)


async def test_where_nothing_answers_the_error_names_the_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with PlatClient(url, TOKEN) as plat:
            with pytest.raises(UnreachableError) as raised:
                await plat.list()
    assert raised.value.detail == f"Nothing answers at {url}: is `plat up` running?"


@pytest.mark.parametrize("url", ["ftp://host", "host:80", "http://host:port", "nonsense"])
async def test_what_is_no_address_is_said(url: str) -> None:
    async with PlatClient(url, TOKEN) as plat:
        with pytest.raises(PlatError, match="is not an address like"):
            await plat.list()


async def test_another_server_than_ours_is_told_apart(url: str) -> None:
    async with PlatClient(url + "/somewhere/else", TOKEN) as plat:
        with pytest.raises(PlatError) as raised:
            await plat.list()
    assert raised.value.code in ("not_found", "internal")
