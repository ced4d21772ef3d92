"""A pool for tests of the control service: answers as a pool does, starts nothing.

Set `problem` to refuse verifications; `hold()` to keep them waiting until `release()`.
"""

import asyncio
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from plat.address import Address
from plat.errors import PlatError
from plat.feed import VersionEntry
from plat.model import DecisionInputs, DecisionList, DecisionView, Instance, InstanceList, LogLine
from plat.web import json_response, problems, start_site


class FakePool:
    def __init__(self) -> None:
        self.verified: list[VersionEntry] = []
        self.problem: PlatError | None = None
        self.asked = asyncio.Event()
        """A verification has begun."""
        self.followers = 0
        self.follows = True
        """False: a follower's answer ends where it would begin to wait."""
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        """What a follower is sent; None breaks the connection off."""
        self._may_answer = asyncio.Event()
        self._may_answer.set()
        self._runner: web.AppRunner | None = None

    async def start(self, address: Address) -> None:
        app = web.Application(middlewares=[problems])
        app.router.add_post("/verify", self._verify)
        app.router.add_get("/instances", self._instances)
        app.router.add_get("/decisions", self._decisions)
        app.router.add_get("/logs", self._logs)
        self._runner = await start_site(app, address, cancel_handlers=True)

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def hold(self) -> None:
        self.asked.clear()
        self._may_answer.clear()

    def release(self) -> None:
        self._may_answer.set()

    async def _verify(self, request: web.Request) -> web.Response:
        entry = msgspec.json.decode(await request.read(), type=VersionEntry)
        self.asked.set()
        await self._may_answer.wait()
        if self.problem is not None:
            raise self.problem
        self.verified.append(entry)
        return json_response({})

    async def _instances(self, request: web.Request) -> web.Response:
        function = request.query["function"]
        instance = Instance(
            id="0123456789abcdef",
            function=function,
            version=1,
            state="ready",
            driver="fake",
            started_at=datetime.now(UTC),
            slots=1,
            slots_held=0,
        )
        return json_response(InstanceList(items=[instance]))

    async def _decisions(self, request: web.Request) -> web.Response:
        return json_response(DecisionList(items=[decision(request.query["function"])]))

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for number in range(int(request.query["tail"])):
            await response.write(log_line(request.query["function"], f"line {number}"))
        if request.query["follow"] == "true" and self.follows:
            await self._follow(request, response)
        return response

    async def _follow(self, request: web.Request, response: web.StreamResponse) -> None:
        self.followers += 1
        try:
            while (line := await self.lines.get()) is not None:
                await response.write(line)
            assert request.transport is not None
            request.transport.abort()
        finally:
            self.followers -= 1


def decision(function: str) -> DecisionView:
    now = datetime.now(UTC)
    inputs = DecisionInputs(
        live=True,
        stopped=False,
        min=0,
        max=20,
        idle_s=60,
        pause_after_s=None,
        concurrency=1,
        queued=1,
        ready=0,
        on_the_way=0,
        idle=0,
        paused=0,
        backing_off=False,
        room=3,
    )
    return DecisionView(
        function=function,
        version=1,
        at=now,
        until=now,
        times=1,
        reason="1 call waits",
        start=1,
        resume=[],
        pause=[],
        stop=[],
        inputs=inputs,
    )


def log_line(function: str, message: str) -> bytes:
    line = LogLine(
        time=datetime.now(UTC), function=function, version=1, instance="i", stream="stdout", message=message
    )
    return msgspec.json.encode(line) + b"\n"
