"""The control service: puts its parts together, serves the API and the feed, and stops in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Middleware

from control.accounts import Accounts, open_book
from control.api import Api, handler_of
from control.audit import CURRENT
from control.audit_log import AuditLog, audited
from control.bodies import expect_nothing_yet
from control.catalog import Catalog
from control.deploys import Deploys
from control.feed import Feed
from control.keyring import Keyring
from control.metrics import ControlMetrics
from control.permissions import CALLER, require
from control.routes import OPERATIONS
from control.secrets import Secrets, open_secrets
from control.store import Store
from control.sweep import Sweeper
from control.token_book import TokenBook
from control.upstream import Builder, Pool
from plat.artifacts import FolderArtifacts
from plat.errors import PlatError
from plat.logs import get_logger
from plat.settings import Settings
from plat.tasks import cancel, spawn
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
        book = await open_book(store, settings.token)
        keyring = Keyring(settings)
        secret_book = await open_secrets(store, keyring)
        builder = Builder(settings.builder)
        stack.push_async_callback(builder.close)
        pool = Pool(settings.pool, settings.start_timeout_s)
        stack.push_async_callback(pool.close)
        feed, metrics = Feed(), ControlMetrics()
        sweeper = Sweeper(store, FolderArtifacts(settings.data_dir / "artifacts"))
        catalog = Catalog(store, feed, sweeper, settings.base_url, secret_book)
        stack.push_async_callback(catalog.close)
        accounts = Accounts(store, feed, book)
        stack.push_async_callback(accounts.close)
        secrets = Secrets(store, feed, secret_book, keyring)
        stack.push_async_callback(secrets.close)
        audit_log = AuditLog(store)
        saving = spawn(accounts.keep_used(), "save when tokens were used")
        stack.push_async_callback(cancel, saving)
        deploys = Deploys(
            store, catalog, sweeper, builder=builder, pool=pool, metrics=metrics, secrets=secret_book
        )
        await deploys.recover()
        stack.push_async_callback(deploys.close)
        api = Api(
            catalog,
            deploys,
            pool,
            accounts,
            secrets,
            audit_log,
            archive_limit_bytes=settings.archive_limit_bytes,
        )
        watched = audited(audit_log, page_of)
        app = web.Application(middlewares=[counted(metrics), problems, watched, authorized(book)])
        app.on_shutdown.append(lambda _: feed.close())
        add_api(app, api)
        add_pages(app, catalog, feed, metrics, book)
        yield app


def add_api(app: web.Application, api: Api) -> None:
    for operation in OPERATIONS:
        handler = handler_of(api, operation)
        expect = expect_nothing_yet if operation.body is bytes else None
        app.router.add_route(operation.method, operation.path, handler, expect_handler=expect)


def add_pages(
    app: web.Application, catalog: Catalog, feed: Feed, metrics: ControlMetrics, book: TokenBook
) -> None:
    async def feed_page(request: web.Request) -> web.StreamResponse:
        return await feed.serve(request, book, catalog.entries)

    async def health(_: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), content_type="text/plain", charset="utf-8")

    app.router.add_get("/feed", feed_page, allow_head=False)
    app.router.add_get("/healthz", health)
    app.router.add_get("/metrics", show_metrics)


def authorized(book: TokenBook) -> Middleware:
    operations = {(each.method, each.path): each for each in OPERATIONS}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        page = page_of(request)
        if page in OPEN_PAGES:
            return await handler(request)
        given = request.headers.getall("Authorization", [""])
        if len(given) > 1:
            raise PlatError(
                "bad_request", f"The header Authorization is there {len(given)} times: send it once."
            )
        caller = request[CALLER] = book.bearer(given[0], datetime.now(UTC))
        if (event := CURRENT.get()) is not None:
            event.caller = caller
        operation = operations.get((request.method, page))
        if operation is not None:
            require(caller, operation, request.match_info.get("name"))
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
