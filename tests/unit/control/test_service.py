"""Who is let in, and what is counted; no socket is opened."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from control.bodies import expect_nothing_yet
from control.routes import OPERATIONS, Operation
from control.service import OPEN_PAGES, make_app
from control.store import Store
from control.tokens import digest_of
from plat.settings import Settings
from tests.unit.control.fakes import token_row
from tests.unit.requests import answered_by

TOKEN = "secret"
CALLS_ONLY = "only-calls"
KNOWN = {"Authorization": f"Bearer {TOKEN}"}
EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[web.Application]:
    settings = Settings(data=str(tmp_path), token=TOKEN)
    store = await Store.open(settings.database)
    async with store.changing() as tables:
        await tables.add_token(token_row("calls", scopes=("invoke:*",), digest=digest_of(CALLS_ONLY)))
    await store.close()
    async with make_app(settings) as app:
        yield app


def path_of(operation: Operation) -> str:
    path = operation.path.replace("{name}", "hello").replace("{version}", "1")
    return path.replace("{id}", "0123").replace("{user}", "ann").replace("{secret}", "DB_URL")


async def ask(app: web.Application, method: str, path: str, headers: dict[str, str]) -> int:
    return (await answered_by(app, make_mocked_request(method, path, headers, app=app))).status


async def metrics_of(app: web.Application) -> str:
    page = await answered_by(app, make_mocked_request("GET", "/metrics", app=app))
    assert isinstance(page, web.Response)
    assert page.text is not None
    return "\n".join(line for line in page.text.splitlines() if "requests_total{" in line)


@EACH
@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}])
async def test_every_operation_needs_the_token(
    operation: Operation, given: dict[str, str], app: web.Application
) -> None:
    assert await ask(app, operation.method, path_of(operation), given) == 401


@EACH
async def test_every_operation_needs_its_scope(operation: Operation, app: web.Application) -> None:
    """A token that may only call functions may do nothing here but look after itself."""
    status = await ask(app, operation.method, path_of(operation), {"Authorization": f"Bearer {CALLS_ONLY}"})
    assert (status == 403) == (operation.needs != "any")


async def test_a_header_that_is_there_twice_is_refused(app: web.Application) -> None:
    headers = CIMultiDict([("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer other")])
    request = make_mocked_request("GET", "/v1/functions", headers, app=app)
    assert (await answered_by(app, request)).status == 400


@pytest.mark.parametrize("path", ["/", "/v2", "/healthz/", "/Healthz", "/metrics/x", "//healthz", "/feed%00"])
async def test_a_page_that_is_none_needs_the_token_too(path: str, app: web.Application) -> None:
    assert await ask(app, "GET", path, {}) == 401
    assert await ask(app, "GET", path, KNOWN) == 404


@pytest.mark.parametrize("path", sorted(OPEN_PAGES - {"/feed"}))
async def test_an_open_page_needs_none_but_takes_no_other_method(path: str, app: web.Application) -> None:
    assert await ask(app, "GET", path, {}) == 200
    assert await ask(app, "POST", path, {}) == 401
    assert await ask(app, "POST", path, KNOWN) == 405


async def test_requests_are_counted_by_operation_and_status(app: web.Application) -> None:
    await ask(app, "GET", "/v1/functions", KNOWN)
    await ask(app, "GET", "/v1/functions/hello", KNOWN)
    await ask(app, "GET", "/v1/functions/other", {})
    assert (await metrics_of(app)).splitlines() == [
        'plat_control_requests_total{operation="list_functions",status="200"} 1.0',
        'plat_control_requests_total{operation="get_function",status="404"} 1.0',
        'plat_control_requests_total{operation="get_function",status="401"} 1.0',
    ]


async def test_what_anybody_may_ask_makes_no_new_counter(app: web.Application) -> None:
    for path in ("/v1/nonsense", "/healthz", "/"):
        await ask(app, "GET", path, KNOWN)
    await ask(app, "BREW", "/v1/functions", KNOWN)
    assert await metrics_of(app) == ""


async def test_only_an_upload_waits_with_the_go_ahead_for_its_checks(app: web.Application) -> None:
    waiting = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route._expect_handler is expect_nothing_yet
    }
    assert waiting == {("POST", "/v1/functions/{name}/versions")}
