"""One execution for calls with one key: who goes first, who waits for whom, and what they are told.

Of the calls with one key that are in this router, one at a time asks the store; the others wait for what it
hears. None of them holds a slot. Knows no HTTP.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from plat.errors import PlatError
from plat.idempotency import LEASE_S, RENEW_S, Renew, Request, State, Verdict
from plat.logs import get_logger
from plat.tasks import cancel, spawn, subtask
from router.idempotency.claims import Claimed, Kept, unavailable
from router.idempotency.flights import (
    Ended,
    Flight,
    Waiter,
    in_flight,
    not_kept,
    outcome_unknown,
    refusal,
    reused,
)
from router.idempotency.key import Keyed
from router.idempotency.store import KeyStore
from router.limits.leases import StoreError
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

    async def _wait(self, flight: Flight, keyed: Keyed, deadline: float) -> Ended | None:
        """How it ended; None: it is this call's turn to ask."""
        now = self._clock()
        if flight.running is not None:
            error = refusal(keyed, flight.running, deadline, now)
            if error is not None:
                raise error
        waiter = Waiter(keyed, deadline)
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

    def _leave(self, flight: Flight, waiter: Waiter) -> None:
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
        claim.ended = lambda kept: self._end(keyed.key, flight, Ended(keyed.fingerprint, kept))
        task = subtask(self._execute(flight, claim, execute), "call with an idempotency key")
        self._executions.add(task)
        task.add_done_callback(self._executed)
        return await asyncio.shield(task)

    async def _claimed(self, claim: Claimed, flight: Flight, keyed: Keyed, deadline: float) -> Ended | None:
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
                    return Ended(verdict.fingerprint, msgspec.msgpack.decode(verdict.answer, type=Kept))
                case State.UNKNOWN:
                    return Ended(verdict.fingerprint, None)
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
                self._end(claim.key, flight, Ended(claim.fingerprint, claim.kept))
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

    def _told(self, keyed: Keyed, ended: Ended) -> Kept:
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

    def _end(self, key: str, flight: Flight, ended: Ended | PlatError) -> None:
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
