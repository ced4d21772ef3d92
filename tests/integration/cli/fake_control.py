"""A platform in memory, as far as the client and the CLI can tell: the control API and one echo function.

It answers from what it was sent; what a test wants to go wrong, it says by the content of the archive.
"""

import hashlib
import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from plat.decoding import convert
from plat.errors import PlatError
from plat.model import (
    DecisionInputs,
    DecisionList,
    DecisionView,
    Function,
    FunctionPage,
    FunctionSpec,
    Instance,
    InstanceList,
    LiveChange,
    LogLine,
    Scale,
    ScaleChange,
    Version,
    VersionPage,
    VersionSpec,
)
from plat.web import Handler, json_response, problems

TOKEN = "the-token"
NOW = datetime(2030, 1, 2, 3, 4, 5, 678_000, UTC)
PAGE_ITEMS = 2
"""Less than clients ask for, so that a list of three has two pages."""

TRACEBACK = 'Traceback (most recent call last):\n  File "main.py", line 1\nValueError: no'


class FakeControl:
    def __init__(self) -> None:
        self.functions: dict[str, Function] = {}
        self.version_lists: dict[str, list[Version]] = {}
        self.archives: list[bytes] = []
        self.calls: list[tuple[str, str, dict[str, str], bytes]] = []

    def add(self, name: str, *states: str, live: int | None = None) -> None:
        """A function with a version for each state; the live one is the last that is ready, or `live`."""
        spec = FunctionSpec(name=name)
        ready = [number for number, state in enumerate(states, 1) if state == "ready"]
        live = live or (ready[-1] if ready else None)
        self.functions[name] = Function(
            name=name,
            spec=spec,
            live=live,
            stopped=False,
            url=f"http://plat/function/{name}",
            created_at=NOW,
            updated_at=NOW,
        )
        self.version_lists[name] = [
            msgspec.convert(
                {
                    "function": name,
                    "version": number,
                    "state": state,
                    "spec": msgspec.to_builtins(VersionSpec.of(spec)),
                    "digest": f"{number:064x}",
                    "size_bytes": 1500,
                    "created_at": NOW,
                    "live": number == live,
                },
                Version,
            )
            for number, state in enumerate(states, 1)
        ]

    def app(self) -> web.Application:
        app = web.Application(middlewares=[problems, _authorize], client_max_size=100_000_000)
        one = "/v1/functions/{name}"
        app.add_routes(
            [
                web.get("/v1/functions", self._list),
                web.get(one, self._get),
                web.put(one, self._put),
                web.delete(one, self._delete),
                web.get(one + "/versions", self._versions),
                web.get(one + "/versions/{number}", self._version),
                web.post(one + "/versions", self._deploy),
                web.put(one + "/live", self._set_live),
                web.put(one + "/scale", self._scale),
                web.post(one + "/{verb:stop|start}", self._stop_or_start),
                web.get(one + "/instances", self._instances),
                web.get(one + "/decisions", self._decisions),
                web.get(one + "/logs", self._logs),
                web.route("*", "/function/{rest:.*}", self._call),
            ]
        )
        return app

    def _function(self, request: web.Request) -> Function:
        name = request.match_info["name"]
        if name not in self.functions:
            raise PlatError("function_not_found", f'There is no function "{name}".')
        return self.functions[name]

    async def _list(self, request: web.Request) -> web.Response:
        assert 1 <= int(request.query["limit"]) <= 1000
        names = sorted(name for name in self.functions if name > request.query.get("after", ""))
        page = names[:PAGE_ITEMS]
        following = page[-1] if len(names) > PAGE_ITEMS else None
        return json_response(FunctionPage([self.functions[name] for name in page], following))

    async def _get(self, request: web.Request) -> web.Response:
        return json_response(self._function(request))

    async def _put(self, request: web.Request) -> web.Response:
        spec = msgspec.json.decode(await request.read(), type=FunctionSpec)
        assert spec.name == request.match_info["name"]
        status = 200 if spec.name in self.functions else 201
        if status == 201:
            self.add(spec.name)
        self.functions[spec.name] = msgspec.structs.replace(self.functions[spec.name], spec=spec)
        return json_response(self.functions[spec.name], status)

    async def _delete(self, request: web.Request) -> web.Response:
        del self.functions[self._function(request).name]
        return web.Response(status=204)

    async def _versions(self, request: web.Request) -> web.Response:
        versions = self.version_lists[self._function(request).name][::-1]
        before = int(request.query.get("after", 1_000_000))
        rest = [each for each in versions if each.version < before]
        page = rest[:PAGE_ITEMS]
        return json_response(VersionPage(page, str(page[-1].version) if len(rest) > PAGE_ITEMS else None))

    async def _version(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        for version in self.version_lists[self._function(request).name]:
            if version.version == number:
                return json_response(version)
        raise PlatError("version_not_found", f"There is no version {number}.")

    async def _deploy(self, request: web.Request) -> web.Response:
        function = self._function(request)
        assert request.content_type == "application/zip"
        assert request.content_length is not None
        body = await request.read()
        self.archives.append(body)
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            if "broken.py" in archive.namelist():
                raise PlatError("handler_import_failed", "Importing main failed.", traceback=TRACEBACK)
        digest = hashlib.sha256(body).hexdigest()
        versions = self.version_lists[function.name]
        if versions and versions[-1].digest == digest:
            return json_response(msgspec.structs.replace(versions[-1], unchanged=True))
        self.add(function.name, *["ready"] * (len(versions) + 1))
        made = msgspec.structs.replace(self.version_lists[function.name][-1], digest=digest)
        self.version_lists[function.name][-1] = made
        return json_response(made, 201)

    async def _set_live(self, request: web.Request) -> web.Response:
        number = msgspec.json.decode(await request.read(), type=LiveChange).version
        return self._change(request, live=number)

    async def _scale(self, request: web.Request) -> web.Response:
        function = self._function(request)
        change = msgspec.json.decode(await request.read(), type=ScaleChange)
        wanted = {key: value for key, value in msgspec.structs.asdict(change).items() if value is not None}
        scale = convert(msgspec.to_builtins(function.spec.scale) | wanted, Scale)
        return self._change(request, spec=msgspec.structs.replace(function.spec, scale=scale))

    async def _stop_or_start(self, request: web.Request) -> web.Response:
        return self._change(request, stopped=request.match_info["verb"] == "stop")

    def _change(self, request: web.Request, **change: object) -> web.Response:
        function = self._function(request)
        self.functions[function.name] = msgspec.structs.replace(function, **change)
        return json_response(self.functions[function.name])

    async def _instances(self, request: web.Request) -> web.Response:
        function = self._function(request)
        if function.live is None:
            return json_response(InstanceList([]))
        instance = Instance(
            id="0123456789abcdef",
            function=function.name,
            version=function.live,
            state="ready",
            driver="process",
            started_at=NOW,
            slots=0,
            slots_held=2,
        )
        return json_response(InstanceList([instance]))

    async def _decisions(self, request: web.Request) -> web.Response:
        function = self._function(request)
        if function.live is None:
            return json_response(DecisionList([]))
        return json_response(DecisionList([_decision(function.name, each) for each in (1, 2)]))

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        name = self._function(request).name
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for number in range(int(request.query["tail"])):
            stream = "stderr" if number else "stdout"
            line = {"time": NOW, "function": name, "version": 3, "instance": "0123456789abcdef"}
            line |= {"stream": stream, "message": f"line {number} " + "x" * 100_000 * number}
            data = msgspec.json.encode(msgspec.convert(line, LogLine)) + b"\n"
            await response.write(data[:20])
            await response.write(data[20:])
        if request.query["follow"] == "true":
            assert request.transport is not None
            request.transport.close()  # a follower only ever ends by a broken connection
        return response

    async def _call(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.calls.append((request.method, request.path_qs, dict(request.headers), body))
        match request.path.rpartition("/")[2]:
            case "missing":
                raise PlatError("function_not_found", 'There is no function "missing".')
            case "teapot":
                return web.Response(status=418, text="I am a teapot.")
            case "own-problem":
                return web.json_response({"mine": 1}, status=400, content_type="application/problem+json")
            case "moved":
                return web.Response(status=302, headers={"Location": "http://elsewhere.invalid/"})
            case "no-utf-8":
                body, kind = b'{"type": "\xff"}', "application/problem+json"
                return web.Response(status=500, body=body, content_type=kind)
            case "cut":
                response = web.StreamResponse(headers={"Content-Length": "100"})
                await response.prepare(request)
                await response.write(b"ten bytes.")
                assert request.transport is not None
                request.transport.close()
                return response
            case _:
                return web.Response(body=body or b"nothing", headers={"X-Method": request.method})


def _decision(function: str, number: int) -> DecisionView:
    inputs = DecisionInputs(
        live=True,
        stopped=False,
        min=0,
        max=20,
        idle_s=60,
        pause_after_s=30,
        concurrency=1,
        queued=number,
        ready=0,
        on_the_way=0,
        idle=0,
        paused=0,
        backing_off=False,
        room=None,
    )
    return DecisionView(
        function=function,
        version=3,
        at=NOW,
        until=NOW,
        times=number,
        reason=f"{number} waited",
        start=number,
        resume=[],
        pause=[],
        stop=["0123456789abcdef"],
        inputs=inputs,
    )


@web.middleware
async def _authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        raise PlatError("unauthorized", "The token is missing or not known.")
    return await handler(request)


@asynccontextmanager
async def running(control: FakeControl) -> AsyncIterator[str]:
    """The address at which it answers."""
    server = TestServer(control.app())
    await server.start_server()
    try:
        yield str(server.make_url("")).rstrip("/")
    finally:
        await server.close()
