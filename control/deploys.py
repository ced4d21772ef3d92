"""Deploys: upload -> artifact -> version `building` -> verified by the pool -> `ready` and live.

One at a time for each function. An upload that breaks off leaves nothing; once the upload is complete
the deploy comes to its end, also when its client has gone. Whatever goes wrong, no version stays
`building`, and the version that was live stays live.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from secrets import token_hex

import msgspec

from control import audit
from control import functions as rules
from control.catalog import Catalog, found, found_to_change
from control.finish import Finisher
from control.metrics import ControlMetrics
from control.rows import FunctionRow, VersionRow
from control.secret_book import SecretBook
from control.store import Store, Tables
from control.sweep import Sweeper
from control.upstream import Builder, Pool, Upload
from plat.errors import PlatError
from plat.logs import get_logger
from plat.model import Artifact, Version, VersionError, VersionSpec

log = get_logger(__name__)

INTERRUPTED = VersionError(
    code="shutting_down", detail="The platform was stopped during the deploy. Deploy again."
)


class Deploys:
    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        sweeper: Sweeper,
        *,
        builder: Builder,
        pool: Pool,
        metrics: ControlMetrics,
        secrets: SecretBook | None = None,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._sweeper = sweeper
        self._builder = builder
        self._pool = pool
        self._metrics = metrics
        self._secrets = SecretBook() if secrets is None else secrets
        self._finisher = Finisher()
        self._running: set[str] = set()

    async def recover(self) -> None:
        """At start: what a killed process left building has failed."""
        async with self._store.changing() as tables:
            count = await tables.fail_building(INTERRUPTED)
        if count:
            log.warning("deploys that a stop cut short were marked failed", versions=count)

    async def close(self) -> None:
        """Cut the deploys that run; each marks its version failed."""
        await self._finisher.cancel()

    async def deploy(self, name: str, body: AsyncIterator[bytes], length: int | None) -> Version:
        """The new version, live; or the live one, `unchanged`.

        Cancelled during the upload it leaves nothing.

        Raises PlatError: `function_not_found`, `deploy_in_progress`, `invalid_archive`, `body_too_large`,
        `unknown_secret`, `handler_*`, `instance_start_failed`, `pool_unavailable`, `builder_unavailable`.
        """
        with self._metrics.deploy() as outcome:
            async with self._store.reading() as tables:
                function = await found(tables, name)
            self._secrets.require(function.spec.secrets)
            self._claim(name)
            artifact = await self._build(name, Upload(body), length)
            work = self._finish(function, artifact)
            version = await self._finisher.run(work, f"deploy {name}")
            outcome.result = "unchanged" if version.unchanged else "ok"
            return version

    def _claim(self, name: str) -> None:
        if name in self._running:
            raise PlatError("deploy_in_progress", f'"{name}" is being deployed. Wait for that deploy to end.')
        self._running.add(name)

    async def _build(self, name: str, upload: Upload, length: int | None) -> Artifact:
        try:
            await self._sweeper.begin_build()
            try:
                return await self._builder.build(upload, length)
            except BaseException:
                self._sweeper.end_build()
                raise
        except BaseException:
            self._running.discard(name)
            raise

    async def _finish(self, function: FunctionRow, artifact: Artifact) -> Version:
        """The part of a deploy that goes on without its client."""
        try:
            return await self._make_version(function, artifact)
        finally:
            self._running.discard(function.name)
            self._sweeper.end_build()
            await self._sweeper.sweep()

    async def _make_version(self, function: FunctionRow, artifact: Artifact) -> Version:
        version, is_live = await self._begin(function, artifact)
        if is_live:
            return rules.shown_version(version, version.number, unchanged=True)
        try:
            await self._pool.verify(rules.version_entry(version, self._secrets))
            return await self._go_live(version)
        except asyncio.CancelledError:
            await self._fail(version, INTERRUPTED)
            raise
        except PlatError as error:
            await self._fail(version, VersionError(error.code, error.detail, error.traceback))
            raise
        except Exception:
            await self._fail(version, VersionError("internal", "An unexpected error; the log has it."))
            raise

    async def _begin(self, function: FunctionRow, artifact: Artifact) -> tuple[VersionRow, bool]:
        """The version to verify, and False; or the live one, and True, if it is the same."""
        self._sweeper.suspect({artifact.digest})
        async with self._store.changing() as tables:
            current = await found_to_change(tables, function.name)
            if current.created_at != function.created_at:
                raise rules.function_not_found(function.name)  # deleted and made again meanwhile
            await tables.fail_building(INTERRUPTED, current.name)  # none of ours: one at a time
            spec = VersionSpec.of(current.spec)
            self._secrets.require(spec.secrets)
            live = await tables.version(current.name, current.live) if current.live is not None else None
            if live is not None and rules.is_unchanged(live, artifact, spec):
                return live, True
            version = await _new_version(tables, current, artifact, spec)
            await tables.add_version(version)
            return version, False

    async def _go_live(self, version: VersionRow) -> Version:
        async with self._store.changing() as tables:
            ready = await tables.end_building(version.id, "ready")
            function = await tables.function_to_change(version.function)
            if ready is None or function is None:
                # The pool may have heard of the delete before it had the instance: tell it again.
                await self._catalog.publish_again(tables, version.function)
                raise PlatError("function_not_found", f'"{version.function}" was deleted during its deploy.')
            await audit.note(tables, object=f"version {ready.number}")
            await self._catalog.write(tables, function, msgspec.structs.replace(function, live=ready.number))
            return rules.shown_version(ready, ready.number)

    async def _fail(self, version: VersionRow, error: VersionError) -> None:
        async with self._store.changing() as tables:
            await tables.end_building(version.id, "failed", error)
            await audit.note(tables, object=f"version {version.number}", outcome=error.code)


async def _new_version(
    tables: Tables, function: FunctionRow, artifact: Artifact, spec: VersionSpec
) -> VersionRow:
    return VersionRow(
        id=token_hex(8),
        function=function.name,
        number=await tables.next_number(function.name),
        state="building",
        spec=spec,
        digest=artifact.digest,
        size_bytes=artifact.size_bytes,
        error=None,
        created_at=datetime.now(UTC),
    )
