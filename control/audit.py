"""Who changed what: the row that a request leaves, in the transaction of its change where there is one.

A request's event goes with it, also into work that outlives it. Knows no HTTP; values are never in it.
"""

from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from control.rows import AuditRow, TokenRow

FAILURES_PER_S = 1.0
FAILURES_AT_ONCE = 60.0


class Table(Protocol):
    """Where rows are only ever added."""

    async def add_audit(self, row: AuditRow) -> None: ...
    def after_commit(self, call: Callable[[], None]) -> None: ...


class Event(Struct):
    """A request that changes something, or was refused."""

    action: str
    address: str
    call_id: str
    function: str | None = None
    object: str | None = None
    caller: TokenRow | None = None
    is_written: bool = False

    def row(self, now: datetime, outcome: str, unrecorded: int = 0) -> AuditRow:
        return AuditRow(
            at=now,
            actor=None if self.caller is None else self.caller.id,
            owner=None if self.caller is None else self.caller.owner,
            address=self.address,
            action=self.action,
            function=self.function,
            object=self.object,
            outcome=outcome,
            call_id=self.call_id,
            unrecorded=unrecorded,
        )

    def written(self) -> None:
        self.is_written = True


class FailureBudget:
    """Whoever sends nonsense fast must not fill the disk: a token bucket, and a count of what it left out."""

    def __init__(self, now: float) -> None:
        self._left = FAILURES_AT_ONCE
        self._at = now
        self._unrecorded = 0

    def take(self, now: float) -> int | None:
        """How many were left out before this one; None: this one is left out too. `now`: in seconds."""
        self._left = min(FAILURES_AT_ONCE, self._left + (now - self._at) * FAILURES_PER_S)
        self._at = now
        if self._left < 1:
            self._unrecorded += 1
            return None
        self._left -= 1
        unrecorded, self._unrecorded = self._unrecorded, 0
        return unrecorded


CURRENT: ContextVar[Event | None] = ContextVar("audit event", default=None)


async def note(tables: Table, *, object: str | None = None, outcome: str = "ok") -> None:  # noqa: A002
    """Write the current request's row in this transaction. `object`: what the path does not name."""
    event = CURRENT.get()
    if event is None or event.is_written:
        return
    if object is not None:
        event.object = object
    await tables.add_audit(event.row(datetime.now(UTC), outcome))
    tables.after_commit(event.written)


def longest(text: str, limit: int) -> str:
    """What a stranger sends, no longer than its column."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
