"""The control service: puts its parts together, serves the API and the feed, and stops in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Middleware

from control.api import Api
from control.bodies import expect_nothing_yet
from control.catalog import Catalog
from control.deploys import Deploys
from control.feed import Feed
from control.metrics import ControlMetrics
from control.routes import OPERATIONS
from control.store import Store
from control.sweep import Sweeper
from control.tokens import ADMIN, bearer_of, digest_of, is_known
from control.upstream import Builder, Pool
from plat.artifacts import FolderArtifacts
from plat.errors import PlatError
from plat.logs import get_logger
from plat.settings import Settings
from plat.web import Handler, json_response, problems, start_site

log = get_logger(__name__)

OPEN_PAGES = frozenset({"/feed", "/healthz", "/metrics"})
"""Pages of the private socket: the router does not forward them. All else needs a token."""


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop` is set. Raises PlatError or OSError if the database or address cannot be used.

    Stops in this order: no new requests, the listeners of the feed, deploys (cut, and marked failed),
    changes (finished), the clients, the database.
    """
    async with make_app(settings) as app:
        runner = await start_site(app, settings.control, cancel_handlers=True)
        log.info("control ready", address=str(settings.control))
        try:
            await stop.wait()
        finally:
            await runner.cleanup()


@asynccontextmanager
async def make_app(settings: Settings) -> AsyncIterator[web.Application]:
    """The application with everything it needs, which is closed in the reverse order."""
    async with AsyncExitStack() as stack:
        store = await Store.open(settings.database)
        stack.push_async_callback(store.close)
        digests = await load_tokens(store, settings.token)
        builder = Builder(settings.builder)
        stack.push_async_callback(builder.close)
        pool = Pool(settings.pool, settings.start_timeout_s)
        stack.push_async_callback(pool.close)
        feed, metrics = Feed(), ControlMetrics()
        sweeper = Sweeper(store, FolderArtifacts(settings.data_dir / "artifacts"))
        catalog = Catalog(store, feed, sweeper, settings.base_url)
        stack.push_async_callback(catalog.close)
        deploys = Deploys(store, catalog, sweeper, builder=builder, pool=pool, metrics=metrics)
        await deploys.recover()
        stack.push_async_callback(deploys.close)
        api = Api(catalog, deploys, pool, settings.archive_limit_bytes)
        app = web.Application(middlewares=[counted(metrics), problems, authorized(digests)])
        app.on_shutdown.append(lambda _: feed.close())
        add_api(app, api)
        add_pages(app, catalog, feed, metrics, digests)
        yield app


async def load_tokens(store: Store, token: str | None) -> list[str]:
    """The digests of all tokens. A given token that is not known replaces the former admin token."""
    async with store.changing() as tables:
        digests = await tables.tokens()
        if token and not is_known(token, digests):
            await tables.replace_token(ADMIN, digest_of(token), datetime.now(UTC))
            digests = await tables.tokens()
    if not digests:
        log.warning("there is no token yet, so that nobody can use the API: set PLAT_TOKEN")
    return digests


def add_api(app: web.Application, api: Api) -> None:
    for operation in OPERATIONS:
        handler = getattr(api, operation.name)
        expect = expect_nothing_yet if operation.body is bytes else None
        app.router.add_route(operation.method, operation.path, handler, expect_handler=expect)


def add_pages(
    app: web.Application, catalog: Catalog, feed: Feed, metrics: ControlMetrics, digests: list[str]
) -> None:
    async def feed_page(request: web.Request) -> web.StreamResponse:
        return await feed.serve(request, digests, catalog.entries)

    async def health(_: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), content_type="text/plain", charset="utf-8")

    app.router.add_get("/feed", feed_page, allow_head=False)
    app.router.add_get("/healthz", health)
    app.router.add_get("/metrics", show_metrics)


def authorized(digests: list[str]) -> Middleware:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if page_of(request) in OPEN_PAGES:
            return await handler(request)
        token = bearer_of(request.headers.get("Authorization", ""))
        if token is None:
            raise PlatError("unauthorized", "Send the header `Authorization: Bearer <token>`.")
        if not is_known(token, digests):
            raise PlatError("unauthorized", "The token is not known. `plat up` printed where it is kept.")
        return await handler(request)

    return check


def counted(metrics: ControlMetrics) -> Middleware:
    operations = {(each.method, each.path): each.name for each in OPERATIONS}

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        operation = operations.get((request.method, page_of(request)))
        if operation is not None:
            metrics.requests.labels(operation, response.status).inc()
        return response

    return count


def page_of(request: web.Request) -> str:
    """The pattern of the route that was found: it cannot be dodged by another spelling of the path."""
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical
