"""Functions and versions as users change them: rules, rows and the feed brought together.

Every change is one transaction, and what it changed is published in the order of commits. Knows no
HTTP, no pool and no builder.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from control import audit
from control import functions as rules
from control.feed import Feed
from control.finish import Finisher
from control.rows import FunctionRow, VersionRow
from control.secret_book import SecretBook
from control.store import Store, Tables
from control.sweep import Sweeper
from plat.feed import FunctionDropped, FunctionEntry, FunctionPut
from plat.model import (
    Function,
    FunctionPage,
    FunctionSpec,
    LiveChange,
    ScaleChange,
    Version,
    VersionPage,
    is_function_name,
)

Change = Callable[[FunctionRow], FunctionRow]

ENTRIES_AT_ONCE = 20
"""Functions read for the feed in one transaction, for which changes wait some milliseconds."""


class Catalog:
    """Every method that changes something comes to its end also when it is cancelled."""

    def __init__(
        self,
        store: Store,
        feed: Feed,
        sweeper: Sweeper,
        base_url: str,
        secrets: SecretBook | None = None,
    ) -> None:
        self._store = store
        self._feed = feed
        self._sweeper = sweeper
        self._base_url = base_url
        self._secrets = SecretBook() if secrets is None else secrets
        self._finisher = Finisher()

    async def close(self) -> None:
        await self._finisher.close()

    # --- reading

    async def page(self, limit: int, after: str) -> FunctionPage:
        async with self._store.reading() as tables:
            rows = await tables.functions(after, limit + 1)
        shown = [rules.shown_function(row, self._base_url) for row in rows[:limit]]
        return FunctionPage(items=shown, next=shown[-1].name if len(rows) > limit else None)

    async def function(self, name: str) -> Function:
        """Raises PlatError `function_not_found`."""
        async with self._store.reading() as tables:
            return rules.shown_function(await found(tables, name), self._base_url)

    async def versions(self, name: str, limit: int, before: int | None) -> VersionPage:
        async with self._store.reading() as tables:
            function = await found(tables, name)
            rows = await tables.versions(name, before, limit + 1)
        shown = [rules.shown_version(row, function.live) for row in rows[:limit]]
        return VersionPage(items=shown, next=str(shown[-1].version) if len(rows) > limit else None)

    async def version(self, name: str, number: int) -> Version:
        async with self._store.reading() as tables:
            function = await found(tables, name)
            return rules.shown_version(await found_version(tables, name, number), function.live)

    async def entries(self, after: str, tell: Callable[[list[FunctionEntry]], None]) -> str | None:
        """Tell some functions, by name those after `after`, while no change can happen.

        The name to go on after; None: these were the last.
        """
        async with self._store.reading_alone() as tables:
            rows = await tables.functions(after, ENTRIES_AT_ONCE)
            tell(await self._entries(tables, rows))
        return rows[-1].name if len(rows) == ENTRIES_AT_ONCE else None

    # --- changing

    async def put(self, name: str, body: Any) -> tuple[Function, bool]:
        """Create or change one; True if it was created. Raises PlatError `invalid`, `unknown_secret`."""
        rules.require_name(name)
        spec = rules.merged_spec(name, body)
        row, created = await self._finisher.run(self._put(name, spec), f"put {name}")
        return rules.shown_function(row, self._base_url), created

    async def delete(self, name: str) -> None:
        await self._finisher.run(self._delete(name), f"delete {name}")

    async def set_live(self, name: str, change: LiveChange) -> Function:
        """Raises PlatError `version_not_found`, `version_not_deployable`."""
        return await self._finisher.run(self._set_live(name, change.version), f"set live {name}")

    async def scale(self, name: str, change: ScaleChange) -> Function:
        def scaled(row: FunctionRow) -> FunctionRow:
            return msgspec.structs.replace(row, spec=rules.scaled(row.spec, change))

        return await self._finisher.run(self._change(name, scaled), f"scale {name}")

    async def set_stopped(self, name: str, stopped: bool) -> Function:
        def switched(row: FunctionRow) -> FunctionRow:
            return msgspec.structs.replace(row, stopped=stopped)

        return await self._finisher.run(self._change(name, switched), f"stop or start {name}")

    async def _put(self, name: str, spec: FunctionSpec) -> tuple[FunctionRow, bool]:
        async with self._store.changing() as tables:
            now = datetime.now(UTC)
            rules.require_keys(spec.access.hmac, self._secrets)
            row = await tables.function_to_change(name)
            await audit.note(tables)
            if row is not None:
                return await self.write(tables, row, msgspec.structs.replace(row, spec=spec)), False
            row = FunctionRow(name=name, spec=spec, live=None, stopped=False, created_at=now, updated_at=now)
            await tables.add_function(row)
            await self._publish(tables, row)
            return row, True

    async def _delete(self, name: str) -> None:
        async with self._store.changing() as tables:
            await found_to_change(tables, name)
            digests = await tables.drop_function(name)
            await audit.note(tables)
            tables.after_commit(lambda: self._feed.publish(FunctionDropped(name=name)))
        self._sweeper.suspect(digests)
        await self._sweeper.sweep()

    async def _set_live(self, name: str, number: int) -> Function:
        async with self._store.changing() as tables:
            row = await found_to_change(tables, name)
            version = await found_version(tables, name, number)
            rules.require_deployable(version)
            self._secrets.require(version.spec.secrets)
            await audit.note(tables, object=f"version {number}")
            new = await self.write(tables, row, msgspec.structs.replace(row, live=number))
            return rules.shown_function(new, self._base_url)

    async def _change(self, name: str, change: Change) -> Function:
        async with self._store.changing() as tables:
            row = await found_to_change(tables, name)
            changed = change(row)
            await audit.note(tables)
            return rules.shown_function(await self.write(tables, row, changed), self._base_url)

    async def write(self, tables: Tables, old: FunctionRow, new: FunctionRow) -> FunctionRow:
        """Store and publish what differs; nothing happens where nothing does."""
        if new == old:
            return old
        new = msgspec.structs.replace(new, updated_at=datetime.now(UTC))
        await tables.change_function(new)
        await self._publish(tables, new)
        return new

    async def publish_again(self, tables: Tables, name: str) -> None:
        """Tell the listeners how a function is now, whether it was changed or not."""
        row = await tables.function(name)
        if row is None:
            self._feed.publish(FunctionDropped(name=name))
        else:
            (entry,) = await self._entries(tables, [row])
            self._feed.publish(FunctionPut(function=entry))

    async def _publish(self, tables: Tables, row: FunctionRow) -> None:
        (entry,) = await self._entries(tables, [row])
        tables.after_commit(lambda: self._feed.publish(FunctionPut(function=entry)))

    async def _entries(self, tables: Tables, rows: list[FunctionRow]) -> list[FunctionEntry]:
        """What the feed says of functions, which are stored like this by now."""
        versions = await tables.ready_versions([row.name for row in rows], rules.VERSIONS_IN_FEED)
        return [rules.function_entry(row, versions.get(row.name, []), self._secrets) for row in rows]


async def found(tables: Tables, name: str) -> FunctionRow:
    """Raises PlatError `function_not_found`, also for what is no legal name."""
    row = await tables.function(name) if is_function_name(name) else None
    if row is None:
        raise rules.function_not_found(name)
    return row


async def found_to_change(tables: Tables, name: str) -> FunctionRow:
    row = await tables.function_to_change(name) if is_function_name(name) else None
    if row is None:
        raise rules.function_not_found(name)
    return row


async def found_version(tables: Tables, name: str, number: int) -> VersionRow:
    row = await tables.version(name, number)
    if row is None:
        raise rules.version_not_found(name, number)
    return row
