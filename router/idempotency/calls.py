"""A call with an idempotency key: sent if it is the first, else answered with what the first one got.

Its execution goes on when its client leaves: whoever asks again gets the answer.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web
from msgspec import structs

from plat.errors import PlatError
from router.calls import Calls, give_back
from router.exchange import Exchange
from router.idempotency.bodies import KeyedBodies
from router.idempotency.claims import Claimed, Kept
from router.idempotency.key import (
    CREDENTIALS,
    HEADER,
    Keyed,
    fingerprint,
    read_key,
    scope,
    wait_s,
)
from router.idempotency.keys import Idempotency
from router.idempotency.recording import RecordedExchange, kept_problem, send_kept
from router.pace import LeastRate
from router.request_body import EarlyBody
from router.slots import InstanceSlots
from router.streaming import Call
from router.upstream import UpstreamConnection


def keyed_calls(
    calls: Calls, idempotency: Idempotency, body_limit_bytes: int, least_rate: LeastRate
) -> Callable[..., "KeyedCall"]:
    """Makes them, of what any `Call` is made of."""
    bodies = KeyedBodies(body_limit_bytes, least_rate)
    limit_bytes = min(body_limit_bytes, calls.admission.body_limit_bytes)
    return functools.partial(KeyedCall, idempotency, bodies, limit_bytes, calls, least_rate)


class KeyedCall(Call):
    """One call. While it waits for another's answer, it holds neither slot nor connection."""

    def __init__(self, idempotency: Idempotency, bodies: KeyedBodies, limit_bytes: int, *given: Any) -> None:
        super().__init__(*given)
        self._idempotency = idempotency
        self._bodies = bodies
        self._limit_bytes = limit_bytes
        self._body = EarlyBody(b"", whole=True)
        self._claim: Claimed | None = None

    async def run(self, body: EarlyBody | None) -> web.StreamResponse:
        """The answer, this call's own or another's. Raises PlatError."""
        request = self._request
        key = read_key(request.headers.getall(HEADER))
        async with self._bodies.whole(request, body) as data:
            self._body = EarlyBody(data, whole=True)
            patience_s = self._calls.queue_timeout_s + self._version.timeout_s
            try:
                answer = await self._idempotency.once(self._keyed(key), patience_s, self._execute)
            except PlatError as error:
                if error.code.startswith("idempotency_"):
                    self._calls.metrics.keyed(error.code)
                raise
        if isinstance(answer, Kept):
            answer = structs.replace(answer, headers=[*answer.headers, *self.told])
            return await send_kept(request, answer, self._call_id, self.page)
        return answer

    def release_permit(self) -> None:
        """Its execution may go on without it."""
        if self._claim is None:
            super().release_permit()

    def _keyed(self, key: str) -> Keyed:
        headers = self._request.headers
        anybody = self.caller is None
        credentials = [",".join(headers.getall(name, ())) for name in CREDENTIALS] if anybody else []
        return Keyed(
            scope(self._route.name, self.caller, key),
            fingerprint(self._request.method, self._request.raw_path, credentials, self._body.data),
            wait_s(headers.getall("Prefer", [])),
        )

    # --- the execution, in a task of its own

    async def _execute(self, claim: Claimed) -> web.StreamResponse:
        """Raises PlatError, and ConnectionError when half an answer had to be cut."""
        self._claim = claim
        try:
            return await super().run(self._body)
        except PlatError as error:
            await self._keep_failure(error)
            raise
        except ConnectionError as error:
            if isinstance(error.__cause__, PlatError):
                await self._keep_failure(error.__cause__)
            raise
        finally:
            super().release_permit()

    async def _keep_failure(self, error: PlatError) -> None:
        """It may have been executed: what it came to is what all are told. If it was not sent, it was not."""
        assert self._claim is not None
        if self._claim.begun:
            await self._claim.finish(kept_problem(error, self._call_id))

    async def _instance_and_connection(self) -> tuple[InstanceSlots, UpstreamConnection]:
        """The last moment before anything is sent."""
        assert self._claim is not None
        instance, upstream = await super()._instance_and_connection()
        try:
            await self._claim.begin()
        except BaseException:
            now = time.monotonic()
            give_back(self._calls.slots, instance, upstream, reusable=not upstream.closed, now=now)
            raise
        return instance, upstream

    def _exchange_over(self, upstream: UpstreamConnection) -> Exchange:
        assert self._claim is not None
        return RecordedExchange(
            self._request,
            upstream,
            silence_s=self._version.timeout_s,
            body_limit_bytes=self._calls.admission.body_limit_bytes,
            least_rate=self._least_rate,
            keep=self._claim.finish,
            limit_bytes=self._limit_bytes,
        )

    def _may_retry(self, error: BaseException, upstream: UpstreamConnection) -> bool:
        """Not even where the method allows it: what was sent may have been executed."""
        return False
