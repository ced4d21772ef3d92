"""The audit at the edge of HTTP: gives each request its event, writes down failures, answers pages."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from control.audit import CURRENT, Event, FailureBudget, longest
from control.permissions import CALLER
from control.queries import AuditQuery
from control.routes import OPERATIONS
from control.rows import AuditRow
from control.store import Store
from plat.administration import AuditEntry, AuditPage
from plat.errors import PlatError
from plat.logs import get_logger
from plat.model import is_function_name
from plat.web import Handler, call_id_of

log = get_logger(__name__)

REFUSED = frozenset({"unauthorized", "forbidden"})
"""Written down whatever was asked for; other failures only of what would have changed something."""

FILTERS = ("function", "actor", "action")


class AuditLog:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._budget = FailureBudget(time.monotonic())

    async def page(self, query: AuditQuery) -> AuditPage:
        given = {name: getattr(query, name) for name in FILTERS}
        wanted = {name: value for name, value in given.items() if value is not msgspec.UNSET}
        since = None if query.since is msgspec.UNSET else query.since
        before = None if query.after is msgspec.UNSET else query.after
        async with self._store.reading() as tables:
            rows = await tables.audit(wanted, since, before, query.limit + 1)
        shown = [_shown(row) for row in rows[: query.limit]]
        return AuditPage(items=shown, next=str(shown[-1].id) if len(rows) > query.limit else None)

    async def succeeded(self, event: Event) -> None:
        """What had nothing to change, so that no transaction has written it."""
        await self._write(event.row(datetime.now(UTC), "ok"))

    async def failed(self, event: Event, code: str) -> None:
        unrecorded = self._budget.take(time.monotonic())
        if unrecorded is not None:
            await self._write(event.row(datetime.now(UTC), code, unrecorded))

    async def _write(self, row: AuditRow) -> None:
        """The request is over: that its row cannot be written is not its client's to hear."""
        try:
            async with self._store.changing() as tables:
                await tables.add_audit(row)
        except PlatError as error:
            log.error("an audit entry cannot be written", action=row.action, detail=error.detail)


def audited(audit_log: AuditLog, page_of: Callable[[web.Request], str]) -> Middleware:
    operations = {(each.method, each.path): each for each in OPERATIONS}

    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        operation = operations.get((request.method, page_of(request)))
        event = event_of(request, operation.name if operation else "other")
        changes = operation is not None and operation.method != "GET"
        CURRENT.set(event if changes else None)
        try:
            response = await handler(request)
        except Exception as error:
            event.caller = request.get(CALLER)
            code = error.code if isinstance(error, PlatError) else "internal"
            refused = code in REFUSED
            if not event.is_written and (refused or (changes and not isinstance(error, web.HTTPException))):
                await audit_log.failed(event, code)
            raise
        if changes and not event.is_written:
            await audit_log.succeeded(event)
        return response

    return watch


def event_of(request: web.Request, action: str) -> Event:
    """Names that no function can have are not repeated."""
    path = request.match_info
    name = path.get("name", "")
    about = next((path[key] for key in ("secret", "user", "id") if key in path), None)
    return Event(
        action=action,
        address=longest(address_of(request), 64),
        call_id=call_id_of(request),
        function=name if is_function_name(name) else None,
        object=None if about is None else longest(about.replace("\0", ""), 128),
    )


def address_of(request: web.Request) -> str:
    """The client's, as the router, which adds it last, tells; without a router the peer's own."""
    told = request.headers.getall("X-Forwarded-For", [""])[-1].rpartition(",")[2].strip()
    return told or request.remote or "local"


def _shown(row: AuditRow) -> AuditEntry:
    return msgspec.convert(msgspec.structs.asdict(row), AuditEntry)
