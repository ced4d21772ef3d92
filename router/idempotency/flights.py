"""The calls with one idempotency key that are in one router: whose turn it is, and what the others are told.

Decides only: who asks the store, `router.idempotency.keys` does.
"""

import asyncio
from collections import deque
from typing import NamedTuple

from plat.errors import PlatError
from router.idempotency.claims import Kept
from router.idempotency.key import Keyed


class Ended(NamedTuple):
    """How the call that had the key ended."""

    fingerprint: str
    kept: Kept | None
    """None: nobody knows."""


class Waiter:
    """One call that waits. Its turn has come when `future` is None's."""

    def __init__(self, keyed: Keyed, deadline: float) -> None:
        self.keyed = keyed
        self.deadline = deadline
        self.future: asyncio.Future[Ended | None] = asyncio.get_running_loop().create_future()


class Flight:
    """The calls with one key that are in this router."""

    def __init__(self) -> None:
        self.running: str | None = None
        """The fingerprint of the call that has the key, as far as it was heard; None: it may be free."""
        self.waiters: deque[Waiter] = deque()

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

    def end(self, ended: Ended | PlatError) -> None:
        """What all are told."""
        for waiter in self.waiters:
            if isinstance(ended, PlatError):
                _fail(waiter, ended)
            elif not waiter.future.done():
                waiter.future.set_result(ended)
        self.waiters.clear()


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


def _fail(waiter: Waiter, error: PlatError) -> None:
    if not waiter.future.done():
        waiter.future.set_exception(error)
        waiter.future.exception()  # it may have gone without looking
