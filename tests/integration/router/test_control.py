"""The control API on the public port: handed on unread, streamed both ways, and 503 while control is away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from plat.settings import Settings
from tests.integration.router.conftest import RouterProcess, RunRouter, get, post
from tests.integration.router.instances import Behaviour, Gate, Instance, say_ok, says
from tests.integration.router.wire import Message, Wire, until

RunControl = Callable[[Behaviour], Awaitable[Instance]]


@pytest.fixture
async def run_control(settings: Settings) -> AsyncIterator[RunControl]:
    started: list[Instance] = []

    async def run(behave: Behaviour) -> Instance:
        assert settings.control.path is not None
        instance = Instance(Path(settings.control.path), behave)
        await instance.start()
        started.append(instance)
        return instance

    yield run
    for instance in started:
        await instance.stop()


@pytest.mark.parametrize(
    "target", ["/v1", "/v1/functions?limit=5", "/v1/functions/a%20b", "/ui/", "/ui/app.js"]
)
async def test_requests_are_handed_on_as_they_came(
    router: RouterProcess, run_control: RunControl, target: str
) -> None:
    control = await run_control(say_ok)
    answer = await router.call(post(b"abc", target, "Authorization: Bearer x", "X-Call-Id: mine"))
    assert (answer.status, answer.body, answer.get("X-Call-Id")) == (200, b"ok", "mine")
    (request,) = control.requests
    assert (request.target, request.body) == (target.encode(), b"abc")
    assert request.get("Authorization") == "Bearer x"
    assert request.get("X-Call-Id") == "mine"


@pytest.mark.parametrize("target", ["/v1x", "/v10/functions", "/uix", "/V1/functions"])
async def test_other_pages_are_not(router: RouterProcess, run_control: RunControl, target: str) -> None:
    control = await run_control(say_ok)
    assert (await router.get(target)).status == 404
    assert control.requests == []


async def test_control_is_away(router: RouterProcess) -> None:
    answer = await router.get("/v1/functions")
    assert (answer.status, answer.get("Retry-After")) == (503, "1")
    assert msgspec.json.decode(answer.body)["code"] == "control_unavailable"


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nContent-Len", b"nonsense\r\n\r\n"])
async def test_control_dies_before_its_answer(
    router: RouterProcess, run_control: RunControl, begin: bytes
) -> None:
    async def die(wire: Wire, request: Message) -> None:
        await wire.send(begin)
        wire.writer.close()

    await run_control(die)
    answer = await router.get("/v1/functions")
    assert msgspec.json.decode(answer.body)["code"] == "control_unavailable"


async def test_a_followed_log_is_streamed_and_ends_with_its_client(
    router: RouterProcess, run_control: RunControl
) -> None:
    ended = asyncio.Event()

    async def follow(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n1\n\r\n")
        await wire.ended()
        ended.set()
        wire.writer.close()

    await run_control(follow)
    wire = await router.connect()
    await wire.send(get("/v1/functions/f/logs?follow=true"))
    await wire.head()
    assert await wire.chunk() == b"1\n"
    wire.abort()
    await asyncio.wait_for(ended.wait(), 20)


async def test_an_upload_is_streamed(router: RouterProcess, run_control: RunControl) -> None:
    control = await run_control(say_ok)
    content = bytes(range(256)) * 4000
    assert (await router.call(post(content, "/v1/functions/f/versions"))).body == b"ok"
    assert control.requests[0].body == content


async def test_an_upload_may_be_as_large_as_an_archive(
    run_router: RunRouter, run_control: RunControl
) -> None:
    router = await run_router(body_limit_bytes=10, archive_limit_bytes=1000)
    control = await run_control(say_ok)
    assert (await router.call(post(b"x" * 1000, "/v1/functions/f/versions"))).status == 200
    chunked = b"POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001
    assert (await router.call(chunked)).status == 413
    assert len(control.requests) == 1


async def test_a_client_that_leaves_ends_its_request(router: RouterProcess, run_control: RunControl) -> None:
    gate = Gate()

    async def wait(wire: Wire, request: Message) -> None:
        await wire.ended()
        await gate.pass_through()

    control = await run_control(wait)
    wire = await router.connect()
    await wire.send(get("/v1/functions"))
    await until(lambda: control.in_call == 1)
    wire.abort()
    await until(lambda: gate.waiting == 1)
    gate.open()


async def test_its_errors_are_its_own(router: RouterProcess, run_control: RunControl) -> None:
    await run_control(
        says(b"HTTP/1.1 422 X\r\nContent-Type: application/problem+json\r\nContent-Length: 2\r\n\r\n{}")
    )
    answer = await router.get("/v1/functions")
    assert (answer.status, answer.body) == (422, b"{}")


async def test_an_upload_that_trickles_is_refused(run_router: RunRouter, run_control: RunControl) -> None:
    router = await run_router(body_grace_s=0.2, body_min_bytes_per_s=500_000)
    control = await run_control(say_ok)
    wire = await router.connect()
    await wire.send(post(b"x" * 200_000, "/v1/functions/f/versions")[:70_000])
    answer = await wire.answer()
    assert answer.status == 408
    assert b"every 500000 bytes" in answer.body
    assert control.requests == []
