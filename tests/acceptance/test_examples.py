"""Every example is deployed as it is and called as a user would."""

import asyncio
import io
import json
import shutil
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.platform import Platform

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def deploy(plat: Platform, name: str) -> str:
    """The example's URL. It is copied first, so that nothing is written beside the sources."""
    source = plat.folder / "examples" / name
    shutil.copytree(EXAMPLES / name, source)
    deployed = plat.plat_json("deploy", str(source))
    assert deployed["version"] == 1
    return str(deployed["url"])


@pytest.fixture
async def client(plat: Platform) -> AsyncIterator[aiohttp.ClientSession]:
    """With the platform's token."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {plat.token}"}) as session:
        yield session


async def test_hello(plat: Platform) -> None:
    url = deploy(plat, "hello")
    async with aiohttp.ClientSession() as nobody, nobody.post(url, json={"name": "you"}) as response:
        assert (response.status, await response.json()) == (200, {"message": "Hello, you!", "version": "1"})


@pytest.mark.node
async def test_hello_node(plat: Platform, client: aiohttp.ClientSession) -> None:
    url = deploy(plat, "hello-node")
    async with client.post(url, json={"name": "you"}) as response:
        assert (response.status, await response.json()) == (
            200,
            {"message": "Hello, you!", "version": "1"},
        )


async def test_flask(plat: Platform, client: aiohttp.ClientSession) -> None:
    url = deploy(plat, "flask")
    async with client.get(url + "/") as response:
        assert 'action="/function/flask/shout"' in await response.text()
    async with client.post(url + "/shout", data={"text": "quiet"}) as response:
        assert await response.json() == {"text": "QUIET"}
    async with client.get(url + "/old", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "/function/flask/")
    async with client.get(url + "/absent") as response:
        assert response.status == 404
    async with client.post(url + "/size", data=_zeros(100)) as response:
        assert await response.json() == {"bytes": 100 * 1024 * 1024}


async def test_fastapi(plat: Platform, client: aiohttp.ClientSession) -> None:
    url = deploy(plat, "fastapi")
    async with client.get(url + "/items/apple") as response:
        assert await response.json() == {"name": "apple", "price": 1.2}
    async with client.post(url + "/items", json={"name": "", "price": -1}) as response:
        assert response.status == 422
    async with client.get(url + "/openapi.json") as response:
        assert (await response.json())["servers"] == [{"url": "/function/fastapi"}]
    async with client.post(url + "/size", data=_zeros(100)) as response:
        assert await response.json() == {"bytes": 100 * 1024 * 1024}
    async with client.ws_connect(url + "/echo") as socket:
        for text in ("one", "x" * 70_000, "three"):
            await socket.send_str(text)
            assert await socket.receive_str() == text


async def test_server_sent_events(plat: Platform, client: aiohttp.ClientSession) -> None:
    """The second event is made only after the first was read: it came while the answer was open."""
    url = deploy(plat, "sse")
    async with client.get(url + "?count=2&interval=0.5") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        events = [await _event(response) for _ in range(2)]
        assert [each["number"] for each in events] == [1, 2]
        assert await response.content.read() == b""


async def _event(response: aiohttp.ClientResponse) -> Any:
    lines = []
    while line := (await response.content.readline()).decode().rstrip("\n"):
        lines.append(line)
    assert [line.split(":")[0] for line in lines] == ["id", "event", "data"]
    return json.loads(lines[2].removeprefix("data: "))


async def test_thumbnail(plat: Platform, client: aiohttp.ClientSession) -> None:
    url = await asyncio.to_thread(deploy, plat, "thumbnail")
    async with client.post(url, data=_png(640, 320), headers={"Content-Type": "image/png"}) as response:
        assert (response.status, response.headers["X-Size"]) == (200, "128x64")
        assert (await response.read())[:3] == b"\xff\xd8\xff"
    async with client.post(url, data=b"no image", headers={"Content-Type": "image/png"}) as response:
        assert response.status == 415


def _png(width: int, height: int) -> bytes:
    """A grey picture (PNG specification, 11.2: header, data, end)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\x00" + b"\x80" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _zeros(megabytes: int) -> io.BytesIO:
    return io.BytesIO(bytes(megabytes * 1024 * 1024))
