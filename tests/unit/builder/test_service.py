"""The builder's pages: lengths looked at first, uploads that break off, health and counters."""

from pathlib import Path

import msgspec
import pytest
from aiohttp import StreamReader, web
from aiohttp.test_utils import make_mocked_request

from builder.metrics import BuilderMetrics
from builder.service import make_app
from builder.workshop import Workshop
from plat.artifacts import FolderArtifacts
from plat.model import Artifact, Problem
from tests.unit.builder.zips import zip_of
from tests.unit.requests import answered_by, payload

HELLO = zip_of(("main.py", "print('hello')\n"))
LIMIT = 1000


@pytest.fixture
async def app(tmp_path: Path) -> web.Application:
    metrics = BuilderMetrics()
    workshop = Workshop(
        tmp_path / "tmp",
        FolderArtifacts(tmp_path / "artifacts"),
        metrics,
        archive_limit_bytes=LIMIT,
        unpacked_limit_bytes=LIMIT,
    )
    await workshop.open()
    return make_app(workshop, metrics)


async def ask(
    app: web.Application, method: str, path: str, body: StreamReader, **headers: str
) -> tuple[int, bytes]:
    request = make_mocked_request(method, path, headers, app=app, payload=body)
    answer = await answered_by(app, request)
    assert isinstance(answer, web.Response)
    assert isinstance(answer.body, bytes)
    return answer.status, answer.body


def code_of(body: bytes) -> str:
    return msgspec.json.decode(body, type=Problem).code


async def test_an_upload_in_pieces_is_201_and_the_artifact(app: web.Application) -> None:
    status, body = await ask(app, "POST", "/artifacts", payload(HELLO[:9], HELLO[9:]))
    assert (status, msgspec.json.decode(body, type=Artifact).files) == (201, 1)


async def test_a_declared_length_over_the_limit_is_refused_without_reading(app: web.Application) -> None:
    body = payload(HELLO)
    headers = {"Content-Length": str(LIMIT + 1)}
    status, answer = await ask(app, "POST", "/artifacts", body, **headers)
    assert (status, code_of(answer)) == (413, "body_too_large")
    assert await body.read() == HELLO


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), web.RequestPayloadError("bad chunk")])
async def test_an_upload_that_breaks_off_is_the_clients_fault_and_counted_so(
    error: Exception, app: web.Application
) -> None:
    status, body = await ask(app, "POST", "/artifacts", payload(error=error))
    assert (status, code_of(body)) == (400, "bad_request")
    _, metrics = await ask(app, "GET", "/metrics", payload())
    assert b'plat_build_total{result="bad_request"} 1.0' in metrics


async def test_it_is_healthy(app: web.Application) -> None:
    assert await ask(app, "GET", "/healthz", payload()) == (200, b'{"status":"ok"}')
