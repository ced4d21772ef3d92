"""One execution for calls with one key: who goes first, who waits for whom, and what they are told.

Of the calls with one key that are in this router, one at a time asks the store; the others wait for what it
hears. None of them holds a slot. Knows no HTTP.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from plat.errors import PlatError
from plat.idempotency import (
    LEASE_S,
    RENEW_S,
    Begin,
    Claim,
    Finish,
    Release,
    Renew,
    Request,
    State,
    Verdict,
)
from plat.logs import get_logger
from plat.tasks import cancel, spawn, subtask
from router.idempotency_key import Keyed
from router.idempotency_store import KeyStore
from router.leases import StoreError
from router.metrics import Metrics

log = get_logger(__name__)

T = TypeVar("T")

ASK_S = 2.0
"""A store that takes longer is away."""

LOOK_S = (0.01, 0.25)
"""Shortest and longest pause of the one that asks how far another router is: a fourth of the time it took so
far. So answers come at most that much later, and a key costs the store at most 25 requests in the first
second, then 4 a second, however many calls wait in this router."""

KEEP_TRYING_S = 60.0
"""How long an answer is offered to a store that is away; then the outcome is unknown to all others."""


class Kept(Struct, frozen=True, array_like=True):
    """An answer as it is stored. Without what belongs to one exchange: framing, connection, call id."""

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    whole: bool = True
    """False: it was too large to be kept; nothing but its status is."""


class _Ended(NamedTuple):
    """How the call that had the key ended."""

    fingerprint: str
    kept: Kept | None
    """None: nobody knows."""


class _Waiter:
    """One call that waits. Its turn has come when `future` is None's."""

    def __init__(self, keyed: Keyed, deadline: float) -> None:
        self.keyed = keyed
        self.deadline = deadline
        self.future: asyncio.Future[_Ended | None] = asyncio.get_running_loop().create_future()


class Flight:
    """The calls with one key that are in this router."""

    def __init__(self) -> None:
        self.running: str | None = None
        """The fingerprint of the call that has the key, as far as it was heard; None: it may be free."""
        self.waiters: deque[_Waiter] = deque()

    def heard(self, fingerprint: str, now: float) -> None:
        """Another has it: who does not wait, or is another call, is told so."""
        self.running = fingerprint
        for waiter in self.waiters:
            error = refusal(waiter.keyed, fingerprint, waiter.deadline, now)
            if error is not None:
                _fail(waiter, error)

    def pass_on(self) -> bool:
        """The next one's turn. False: nobody waits."""
        self.running = None
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.future.done():
                waiter.future.set_result(None)
                return True
        return False

    def end(self, ended: _Ended | PlatError) -> None:
        """What all are told."""
        for waiter in self.waiters:
            if isinstance(ended, PlatError):
                _fail(waiter, ended)
            elif not waiter.future.done():
                waiter.future.set_result(ended)
        self.waiters.clear()


class Claimed:
    """A key that is this router's: `begin` before anything is sent, then `finish`; or `release`."""

    def __init__(self, keyed: Keyed, ask: Callable[[Request], Awaitable[Verdict]], keep_s: float) -> None:
        self.key, self.fingerprint = keyed.key, keyed.fingerprint
        self.token = secrets.token_hex(16)
        self._ask = ask
        self._keep_s = keep_s
        self._turn = asyncio.Lock()
        """One request at a time: a store must not hear them in another order."""
        self.begun = False
        self.released = False
        self.kept: Kept | None = None
        self.ended: Callable[[Kept], None] = _ignore
        """Told at once how it ended, before the store is."""
        self.settled = False
        """Whether the store knows how it ended."""

    def renewal(self) -> Renew:
        return Renew(self.key, self.token, self.fingerprint, self.begun, self._keep_s)

    async def claim(self) -> Verdict:
        """Raises StoreError."""
        async with self._turn:
            return await self._ask(Claim(self.key, self.token, self.fingerprint))

    async def begin(self) -> None:
        """Once this returns, the call may be sent, and never again by anybody. Raises PlatError."""
        async with self._turn:
            try:
                verdict = await self._ask(Begin(self.key, self.token, self._keep_s))
            except StoreError as error:
                raise unavailable() from error
            if verdict.state is not State.MINE:
                raise unavailable()
            self.begun = True

    async def finish(self, kept: Kept) -> None:
        """The answer is for all others from now on; a store that is away is told later. Only once."""
        if self.kept is None:
            self.kept = kept
            self.ended(kept)
            await self.tell()

    async def release(self) -> None:
        """Nothing was sent."""
        self.released = True
        await self.tell()

    async def tell(self) -> None:
        """What the store must know of it now. What it does not hear is told again."""
        async with self._turn:
            try:
                await self._tell()
            except StoreError:
                return  # it was counted; `Idempotency.run` comes here again

    async def _tell(self) -> None:
        if self.settled:
            return
        if self.kept is not None:
            answer = msgspec.msgpack.encode(self.kept)
            await self._ask(Finish(self.key, self.token, self.fingerprint, answer, self._keep_s))
        elif self.released:
            await self._ask(Release(self.key, self.token))
        else:
            verdict = await self._ask(self.renewal())
            if self.begun and verdict.state is State.LOST:
                log.error("the store has given a key away whose call is in flight")
            return
        self.settled = True


def _ignore(kept: Kept) -> None:
    """Nobody waits."""


Execute = Callable[[Claimed], Awaitable[T]]
"""Makes the call, with `begin` before anything is sent. Raises PlatError."""


class Idempotency:
    """All keys of a router. `run` until cancelled, then `close`."""

    def __init__(
        self, store: KeyStore, metrics: Metrics, *, keep_s: float, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._keep_s = keep_s
        self._clock = clock
        self._flights: dict[str, Flight] = {}
        self._claims: dict[str, tuple[Claimed, float]] = {}
        """By token, with the time at which its outcome is given up."""
        self._executions: set[asyncio.Task[object]] = set()

    def claims(self) -> list[Renew]:
        """What a store that has just begun to remember must know."""
        return [claim.renewal() for claim, _ in self._claims.values() if not claim.released]

    # --- a call

    async def once(self, keyed: Keyed, patience_s: float, execute: Execute[T]) -> T | Kept:
        """What `execute` gives, or the answer that another call with the key got.

        Raises PlatError. Once it executes, cancelling it does not end the execution.
        """
        now = self._clock()
        deadline = now + (patience_s if keyed.wait_s is None else min(patience_s, keyed.wait_s))
        flight = self._flights.get(keyed.key)
        if flight is None:
            flight = self._flights[keyed.key] = Flight()
        else:
            ended = await self._wait(flight, keyed, deadline)
            if ended is not None:
                return self._told(keyed, ended)
        return await self._lead(flight, keyed, deadline, execute)

    async def _wait(self, flight: Flight, keyed: Keyed, deadline: float) -> _Ended | None:
        """How it ended; None: it is this call's turn to ask."""
        now = self._clock()
        if flight.running is not None:
            error = refusal(keyed, flight.running, deadline, now)
            if error is not None:
                raise error
        waiter = _Waiter(keyed, deadline)
        flight.waiters.append(waiter)
        # Who does not wait waits until the store has said whether there is something to wait for.
        patience_s = max(deadline - now, ASK_S)
        try:
            async with asyncio.timeout(patience_s):
                return await asyncio.shield(waiter.future)
        except TimeoutError as error:
            self._leave(flight, waiter)
            raise (unavailable() if flight.running is None else in_flight()) from error
        except asyncio.CancelledError:
            self._leave(flight, waiter)
            raise

    def _leave(self, flight: Flight, waiter: _Waiter) -> None:
        """A turn that came to somebody who has gone is the next one's."""
        future = waiter.future
        if waiter in flight.waiters:
            flight.waiters.remove(waiter)
        if not future.done():
            future.cancel()
        elif future.exception() is None and future.result() is None:
            self._pass_on(waiter.keyed.key, flight)

    async def _lead(self, flight: Flight, keyed: Keyed, deadline: float, execute: Execute[T]) -> T | Kept:
        """Ask until there is an answer, or the key is ours."""
        claim = Claimed(keyed, self._ask, self._keep_s)
        try:
            ended = await self._claimed(claim, flight, keyed, deadline)
        except StoreError as error:
            self._abandon(claim)
            self._end(keyed.key, flight, unavailable())
            raise unavailable() from error
        except asyncio.CancelledError:
            self._abandon(claim)
            self._pass_on(keyed.key, flight)
            raise
        except PlatError:
            self._pass_on(keyed.key, flight)
            raise
        if ended is not None:
            self._end(keyed.key, flight, ended)
            return self._told(keyed, ended)
        self._claims[claim.token] = (claim, float("inf"))
        claim.ended = lambda kept: self._end(keyed.key, flight, _Ended(keyed.fingerprint, kept))
        task = subtask(self._execute(flight, claim, execute), "call with an idempotency key")
        self._executions.add(task)
        task.add_done_callback(self._executed)
        return await asyncio.shield(task)

    async def _claimed(self, claim: Claimed, flight: Flight, keyed: Keyed, deadline: float) -> _Ended | None:
        """None: it is ours. Raises StoreError, PlatError."""
        began = self._clock()
        while True:
            verdict = await claim.claim()
            now = self._clock()
            match verdict.state:
                case State.MINE:
                    flight.heard(keyed.fingerprint, now)
                    return None
                case State.DONE:
                    return _Ended(verdict.fingerprint, msgspec.msgpack.decode(verdict.answer, type=Kept))
                case State.UNKNOWN:
                    return _Ended(verdict.fingerprint, None)
                case State.RUNNING:
                    flight.heard(verdict.fingerprint, now)
                    error = refusal(keyed, verdict.fingerprint, deadline, now)
                case _:  # the store does not know yet
                    error = unavailable() if now >= deadline else None
            if error is not None:
                raise error
            pause_s = min(max((now - began) / 4, LOOK_S[0]), LOOK_S[1], deadline - now)
            await asyncio.sleep(pause_s)

    async def _execute(self, flight: Flight, claim: Claimed, execute: Execute[T]) -> T:
        """Whatever happens, the key's outcome is definite: an answer, a failure, or that nothing was done."""
        try:
            return await execute(claim)
        finally:
            if claim.begun:
                self._metrics.keyed("executed")
                self._end(claim.key, flight, _Ended(claim.fingerprint, claim.kept))
            else:
                await claim.release()
                self._pass_on(claim.key, flight)
            if claim.settled or (claim.begun and claim.kept is None):  # it was cut: nobody is there any more
                del self._claims[claim.token]
            else:
                self._claims[claim.token] = (claim, self._clock() + KEEP_TRYING_S)

    # --- steps

    def _executed(self, task: "asyncio.Task[T]") -> None:
        """Its client is told what went wrong, if it is still there; what nobody expected is in the log."""
        self._executions.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, PlatError | ConnectionError):
            log.error("a call with an idempotency key failed", exc_info=error)

    def _abandon(self, claim: Claimed) -> None:
        """The store may have given it to us, and nobody uses it."""
        self._claims[claim.token] = (claim, self._clock() + LEASE_S)
        spawn(claim.release(), "release an idempotency key")

    def _told(self, keyed: Keyed, ended: _Ended) -> Kept:
        """What a call is told of the one before it. Raises PlatError."""
        if ended.fingerprint != keyed.fingerprint:
            raise reused()
        if ended.kept is None:
            raise outcome_unknown()
        if not ended.kept.whole:
            raise not_kept(ended.kept.status)
        self._metrics.keyed("replayed")
        return ended.kept

    def _pass_on(self, key: str, flight: Flight) -> None:
        if not flight.pass_on() and self._flights.get(key) is flight:
            del self._flights[key]

    def _end(self, key: str, flight: Flight, ended: _Ended | PlatError) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        flight.end(ended)

    async def _ask(self, request: Request) -> Verdict:
        try:
            async with asyncio.timeout(ASK_S):
                verdict = await self._store.ask(request)
        except (StoreError, TimeoutError) as error:
            if self._metrics.keys_up:
                detail = str(error) or f"no answer within {ASK_S:g} s"
                log.warning(
                    "the store of idempotency keys is away; calls with one are refused", detail=detail
                )
            self._metrics.keys_failed()
            raise StoreError(str(error)) from error
        self._metrics.keys_up = True
        return verdict

    # --- the router's life

    async def run(self) -> None:
        """Let the store know that the owners of keys are there. For ever."""
        is_open = False
        while True:
            if not is_open:
                is_open = await self._open()
            await asyncio.sleep(RENEW_S)
            now = self._clock()
            for claim, until in list(self._claims.values()):
                if claim.settled or now >= until:
                    self._forget(claim)
            await asyncio.gather(*(claim.tell() for claim, _ in self._claims.values()))

    async def drained(self) -> None:
        """Return when no call is in flight, of those whose client has left neither. Cancellable."""
        while self._executions:
            await asyncio.wait(self._executions)

    async def stop(self) -> None:
        """Cut what is in flight. What becomes of it is unknown to those who ask for it elsewhere."""
        await cancel(*self._executions)

    async def close(self) -> None:
        await self._store.close()

    async def _open(self) -> bool:
        try:
            async with asyncio.timeout(ASK_S):
                await self._store.open()
        except (StoreError, TimeoutError):
            return False  # the first that needs it says why
        return True

    def _forget(self, claim: Claimed) -> None:
        del self._claims[claim.token]
        if not claim.settled:
            log.warning("an idempotency key's outcome could not be stored", begun=claim.begun)


# --- what calls are told


def refusal(keyed: Keyed, running: str, deadline: float, now: float) -> PlatError | None:
    """Why a call does not wait for the one with the fingerprint `running`; None: it waits."""
    if keyed.fingerprint != running:
        return reused()
    return in_flight() if now >= deadline else None


def in_flight() -> PlatError:
    detail = "The first call with this key has not ended. Send it again later, to get its answer."
    return PlatError("idempotency_in_flight", detail, retry_after_s=1)


def reused() -> PlatError:
    detail = (
        "The key belongs to another request: method, path, query or body are not the same. Take a new key."
    )
    return PlatError("idempotency_key_reused", detail)


def outcome_unknown() -> PlatError:
    detail = (
        "The router that made the first call with this key ended before the answer. The function may have "
        "been executed; it is not executed again for this key."
    )
    return PlatError("idempotency_outcome_unknown", detail)


def not_kept(status: int) -> PlatError:
    detail = (
        f"The first call with this key was answered with status {status}; its body is larger than "
        "idempotency_body_limit_bytes, and was not kept. The function is not executed again for this key."
    )
    return PlatError("idempotency_answer_not_kept", detail)


def unavailable() -> PlatError:
    detail = (
        "Nothing was executed, for no store says whether this key is new. Send it again with the same key."
    )
    return PlatError("idempotency_unavailable", detail, retry_after_s=1)


def _fail(waiter: _Waiter, error: PlatError) -> None:
    if not waiter.future.done():
        waiter.future.set_exception(error)
        waiter.future.exception()  # it may have gone without looking
