"""The builder's HTTP side: `POST /artifacts` on a private socket."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from builder.metrics import BuilderMetrics
from builder.workshop import Workshop
from plat.artifacts import FolderArtifacts
from plat.errors import PlatError
from plat.logs import get_logger
from plat.settings import Settings
from plat.web import json_response, problems, start_site

log = get_logger(__name__)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop` is set. Raises OSError if the folder or the address cannot be used."""
    metrics = BuilderMetrics()
    workshop = Workshop(
        settings.data_dir / "tmp" / "builder",
        FolderArtifacts(settings.data_dir / "artifacts"),
        metrics,
        archive_limit_bytes=settings.archive_limit_bytes,
        unpacked_limit_bytes=settings.unpacked_limit_bytes,
    )
    await workshop.open()
    runner = await start_site(make_app(workshop, metrics), settings.builder, cancel_handlers=True)
    log.info("builder ready", address=str(settings.builder))
    try:
        await stop.wait()
    finally:
        await runner.cleanup()


def make_app(workshop: Workshop, metrics: BuilderMetrics) -> web.Application:
    async def build(request: web.Request) -> web.Response:
        workshop.check_length(request.content_length)
        return json_response(await workshop.build(_chunks(request)), status=201)

    async def health(_: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), content_type="text/plain", charset="utf-8")

    app = web.Application(middlewares=[problems])
    app.add_routes(
        [
            web.post("/artifacts", build),
            web.get("/healthz", health),
            web.get("/metrics", show_metrics),
        ]
    )
    return app


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.content.iter_any():
            yield chunk
    except (ConnectionError, web.RequestPayloadError) as error:
        raise PlatError("bad_request", "The upload ended before its end.") from error
