"""How an instance of a version comes to be: started, or made of a warm one. Knows no states and no slots."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import closing, nullcontext
from typing import Any

from plat.errors import PlatError
from plat.feed import SecretValues
from plat.logs import get_logger
from plat.tasks import subtask
from pool.code import CodeCache
from pool.drivers.base import Driver, Kind, StartOrder, WarmOrder
from pool.drivers.environment import require_secrets
from pool.health import HungUpError, UselessError, load, wait_ready
from pool.line import Line
from pool.logbook import LogBook
from pool.member import Member

log = get_logger(__name__)

LAST_WORD_S = 0.1
"""What an instance said just before it ended has come by then."""

LAST_LINES = 20
READ_BACK_LINES = 500


class Launcher:
    """Deadlines are of `time.monotonic`."""

    def __init__(self, driver: Driver, code: CodeCache, logbook: LogBook) -> None:
        self._driver = driver
        self._code = code
        self._logbook = logbook

    async def start(self, member: Member, deadline: float) -> None:
        """Create it and wait until it is ready. Raises PlatError; what is left is the caller's to stop."""
        code = await self._code.code(member.version.digest)
        if member.version.spec.secrets:
            await self._start_warm(StartOrder(member.id, member.version, code), member, deadline)
            return
        running = await self._driver.start(StartOrder(member.id, member.version, code))
        member.address, member.started_at = running.address, running.started_at
        await self._unless_it_dies(member, wait_ready(member.address, deadline))

    async def _start_warm(self, order: StartOrder, member: Member, deadline: float) -> None:
        """In two steps: what it starts with can be seen from outside, what it loads cannot."""
        require_secrets(member.version)
        running = await self._driver.warm(WarmOrder(member.id, Kind.of(member.version.spec)))
        member.address, member.started_at = running.address, running.started_at
        await self._unless_it_dies(member, wait_ready(member.address, deadline))
        placed = await self._driver.place(order)
        try:
            await self._unless_it_dies(member, load(member.address, placed.load, deadline))
        except UselessError as error:
            raise PlatError("instance_start_failed", f"The instance cannot be loaded: {error}.") from error

    async def load(
        self,
        member: Member,
        deadline: float,
        line: Line | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> bool:
        """Make the warm instance with the member's id one of its version.

        `line`: a connection to it, open already; it is closed. `meanwhile` is called once it is being loaded.
        False: it is of no use. Raises PlatError for what another instance would fail at too.
        """
        with closing(line) if line is not None else nullcontext():
            require_secrets(member.version)
            code = await self._code.code(member.version.digest)
            order = StartOrder(member.id, member.version, code)
            return await self._load(member, order, deadline, line, meanwhile)

    async def _load(
        self,
        member: Member,
        order: StartOrder,
        deadline: float,
        line: Line | None,
        meanwhile: Callable[[], None],
    ) -> bool:
        try:
            placed = await self._driver.place(order)
            member.address, member.started_at = placed.running.address, placed.running.started_at
            loading = load(member.address, placed.load, deadline, line)
            await self._unless_it_dies(member, loading, meanwhile)
        except (UselessError, OSError) as error:
            log.warning("a warm instance is of no use", instance=member.id, detail=str(error))
            return False
        except PlatError as error:
            if error.code not in ("engine_unavailable", "instance_unavailable"):
                raise
            log.warning("a warm instance is of no use", instance=member.id, detail=error.detail)
            return False
        return True

    async def _unless_it_dies(
        self,
        member: Member,
        waiting: Coroutine[Any, Any, object],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Ready, or the reason why not: it says so itself, also to a router, dies, or takes too long."""
        ready = subtask(waiting, f"await {member.id}")
        try:
            await asyncio.sleep(0)  # it is asked
            await asyncio.sleep(0)  # and what was written has gone out
            if not ready.done():
                meanwhile()
                await _until_it_is_told(ready, member)
            if member.serves.done():
                return
            if member.died.done() and not _has_said_how_it_went(ready):
                exited = member.died.result()
                detail = f"The instance ended before it was ready. {exited.detail}"
                raise PlatError("instance_start_failed", detail, reason=exited.reason)
            ready.result()
        finally:
            ready.cancel()

    async def with_last_lines(self, member: Member, error: PlatError) -> PlatError:
        """What it wrote before it ended tells more than its exit status."""
        if error.code != "instance_start_failed" or error.traceback:
            return without_secrets(error, member.version.secrets)
        try:
            lines = await self._lines_of(member)
        except OSError as unread:  # too many open files, and that may be why it did not start
            log.warning("the last lines cannot be read", instance=member.id, error=str(unread))
            lines = []
        text = "\n".join(lines[-LAST_LINES:]) or None
        told = PlatError(error.code, error.detail, reason=error.reason, traceback=text)
        return without_secrets(told, member.version.secrets)

    async def _lines_of(self, member: Member) -> list[str]:
        read = self._logbook.read(member.version.function, tail=READ_BACK_LINES, follow=False)
        return [line.message async for line in read if line.instance == member.id]


async def _until_it_is_told(ready: "asyncio.Future[Any]", member: Member) -> None:
    """How it went, by the instance or a router. Its end may be told before its last word is."""
    told: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def note(_: object) -> None:
        if not told.done() and (member.serves.done() or _has_said_how_it_went(ready)):
            told.set_result(None)

    ready.add_done_callback(note)
    member.serves.add_done_callback(note)
    await asyncio.wait([told, ready, member.died], return_when=asyncio.FIRST_COMPLETED)
    if not told.done():
        await asyncio.wait([told], timeout=LAST_WORD_S)
    member.serves.remove_done_callback(note)


def _has_said_how_it_went(ready: "asyncio.Future[Any]") -> bool:
    """And not only that the connection ended with it."""
    return ready.done() and not ready.cancelled() and not isinstance(ready.exception(), HungUpError)


def without_secrets(error: PlatError, secrets: SecretValues) -> PlatError:
    """The same error, but for values in what a handler or its output said."""
    if not secrets.by_name:
        return error
    return PlatError(
        error.code,
        secrets.hidden_in(error.detail),
        retry_after_s=error.retry_after_s,
        reason=error.reason,
        traceback=None if error.traceback is None else secrets.hidden_in(error.traceback),
    )
