"""Token buckets whose tokens are leased out beforehand: the rules that every store of limits keeps.

Decides only, time passed in. `router/limits/lease.lua` is the same for Redis; one set of tests holds for
both.
"""

from collections.abc import Iterable
from math import ceil, floor

from msgspec import Struct

LEASE_TTL_S = 2.0
"""A lease that is not renewed for this long has ended. Its holder stops using it a tenth earlier."""

PERMITS = 0.0
"""The rate of a bucket of permits: what nobody holds is free, at once. For calls in flight."""

RESERVE = 4
"""One token in so many is never leased: routers that lost the store may admit that much (`local_share`)."""

BIRTH_MARGIN_S = 2.0
"""By how much routers may differ in when they heard of a limit first, and a request in how long it takes."""

_ROUNDING = 1e-6
"""Of a token: sums of floats may lack this much."""

_FORGOTTEN = "?"
"""Holds what unknown routers may still have of a bucket that the store has forgotten."""


class Ask(Struct, frozen=True, gc=False, array_like=True):
    """What a router says and wants of one bucket. `held` is absolute, so that a lost answer does no harm."""

    key: str
    rate: float
    burst: int
    held: int
    """Tokens it can still spend (of permits: in use or free). What it was leased besides is spent."""
    returned: int
    """Tokens it gives back, not among `held`. Said once: never again, not even if no answer comes."""
    want: int
    spent_ago_s: float
    """Since when it has spent none: the bucket has filled up since then."""
    known_s: float
    """How long it has known of this limit; what is younger than the store's memory was never forgotten."""
    unpaid: bool
    """Whether it has admitted calls by itself since the last answer, because none came."""


class Answer(Struct, frozen=True, gc=False, array_like=True):
    """`lease` is all that the router holds from now on, what it said it holds included."""

    lease: int
    """-1: a newer request came first; this one was not heard."""
    left: float
    wait_s: float
    """Until the next token is due; 0: there is one."""
    forgotten_s: float
    """How long nothing is leased, because the store has forgotten what is out. Until then: `local_share`."""


STALE = Answer(-1, 0.0, 0.0, 0.0)


class _Lease:
    __slots__ = ("expires", "held", "number")

    def __init__(self, held: int, expires: float, number: int) -> None:
        self.held = held
        self.expires = expires
        self.number = number


class Bucket:
    """`tokens` that nobody holds, and what each router holds. At any time tokens + held <= burst.

    So in any window (a, b] at most burst + rate * (b - a) calls are admitted. For: a call spends a token
    that its router held. What is spent in the window was held at a, or leased in it and not returned.
    Leased and not returned in it is at most tokens(a) + what was refilled, which is at most
    rate * (b - a). And held(a) + tokens(a) <= burst.
    That needs `held` to be never less than what can still be spent: a router stops using a lease before
    it expires here; a lease is lowered only by the router's own word; and an old word is not heard.
    """

    __slots__ = ("_at", "_burst", "_leases", "_rate", "_tokens")

    def __init__(self, tokens: float, at: float) -> None:
        self._tokens = tokens
        self._at = at
        self._rate = PERMITS
        self._burst = 0
        self._leases: dict[str, _Lease] = {}

    @classmethod
    def forgotten(cls, burst: int, since: float) -> "Bucket":
        """All of it may be with routers that the store does not know (any more)."""
        bucket = cls(0.0, since)
        bucket._leases[_FORGOTTEN] = _Lease(burst, since + LEASE_TTL_S, 0)
        return bucket

    @property
    def held(self) -> int:
        return sum(lease.held for lease in self._leases.values())

    @property
    def tokens(self) -> float:
        return self._tokens

    def lease(self, router: str, number: int, ask: Ask, now: float) -> Answer:
        """Settle what the router says, and lease it up to what it wants. `number` grows with each request."""
        now = max(now, self._at)
        self._rate, self._burst = ask.rate, ask.burst
        known = self._leases.get(router)
        if known is not None and number <= known.number:
            return STALE
        held = self._settle(router, ask, now)
        if ask.unpaid and ask.rate != PERMITS and _FORGOTTEN not in self._leases:
            self._forget(held, now)
        forgotten = self._leases.get(_FORGOTTEN)
        others = self.held
        if forgotten is not None and ask.rate == PERMITS:  # those who claim theirs hold it, and nobody else
            others -= forgotten.held
            forgotten.held = max(0, min(forgotten.held, ask.burst - others - held))
        granted = 0 if forgotten is not None else self._grant(ask.want, held, others)
        self._leases[router] = _Lease(held + granted, now + LEASE_TTL_S, number)
        forgotten_s = forgotten.expires - now if forgotten is not None else 0.0
        return Answer(held + granted, max(0.0, self._tokens), forgotten_s + self._wait_s(), forgotten_s)

    def is_full(self, now: float) -> bool:
        """Nothing is known of it that a new one would not know."""
        self._run(now)
        return not self._leases and self._tokens >= self._burst - _ROUNDING

    def _settle(self, router: str, ask: Ask, now: float) -> int:
        """What the router holds after what it said."""
        self._run(max(self._at, now - ask.spent_ago_s))
        lease = self._leases.get(router)
        if lease is not None:
            lease.held = min(lease.held, ask.held + ask.returned)
        self._run(now)
        lease = self._leases.pop(router, None)
        had = lease.held if lease is not None else 0
        if ask.rate == PERMITS:  # a call that is in flight is in flight, whatever is remembered of it
            self._tokens = max(0.0, float(ask.burst - self.held - ask.held))
            return ask.held
        held = min(had, ask.held)
        self._tokens += min(ask.returned, had - held)
        return held

    def _grant(self, want: int, held: int, others: int) -> int:
        reserve = 0 if self._rate == PERMITS else self._burst // RESERVE
        fair = ceil(self._tokens / 2) if others else want  # where several ask, none takes the last ones
        granted = max(
            0, min(want, fair, floor(self._tokens + _ROUNDING), self._burst - reserve - others - held)
        )
        self._tokens -= granted
        return granted

    def _wait_s(self) -> float:
        lacking = 1 - self._tokens
        if lacking <= _ROUNDING:
            return 0.0
        return lacking / self._rate if self._rate else LEASE_TTL_S

    def _forget(self, held: int, now: float) -> None:
        """Calls were admitted that are not in this account: nothing is leased until all leases have ended."""
        self._tokens = 0.0
        out = max(0, self._burst - held - self.held)
        self._leases[_FORGOTTEN] = _Lease(out, now + LEASE_TTL_S, 0)

    def _run(self, until: float) -> None:
        """Leases end and tokens come, in the order of time: what was held left no room for them."""
        ending = sorted((each for each in self._leases.items() if each[1].expires <= until), key=_expiry)
        for router, lease in ending:
            self._refill(lease.expires)
            del self._leases[router]
        self._refill(until)

    def _refill(self, until: float) -> None:
        room = self._burst - self.held
        if self._rate == PERMITS:
            self._tokens = float(max(0, room))
        elif until > self._at:
            self._tokens = max(0.0, min(room, self._tokens + (until - self._at) * self._rate))
        self._at = max(self._at, until)


def _expiry(item: tuple[str, _Lease]) -> float:
    return item[1].expires


class Buckets:
    """All buckets of a store that remembers since `since`; -inf: nothing was forgotten."""

    def __init__(self, since: float) -> None:
        self._since = since
        self._buckets: dict[str, Bucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def lease(self, router: str, number: int, asks: Iterable[Ask], now: float) -> list[Answer]:
        return [self._bucket(ask, now).lease(router, number, ask, now) for ask in asks]

    def sweep(self, now: float) -> None:
        """Forget buckets that are full: they are made anew when one asks."""
        for key in [key for key, bucket in self._buckets.items() if bucket.is_full(now)]:
            del self._buckets[key]

    def _bucket(self, ask: Ask, now: float) -> Bucket:
        bucket = self._buckets.get(ask.key)
        if bucket is None:
            # One that is missing was full, unless it was there before the store's memory began.
            younger = now - ask.known_s - BIRTH_MARGIN_S > self._since
            old = self._since == float("-inf") or younger
            bucket = Bucket(ask.burst, now) if old else Bucket.forgotten(ask.burst, self._since)
            self._buckets[ask.key] = bucket
        return bucket


def local_share(amount: int, part: int, parts: int, offset: int) -> int:
    """What one of several routers may have of `amount`; all parts together are `amount`.

    `offset` (of the key) turns round who gets one more than others.
    """
    return amount // parts + ((part + offset) % parts < amount % parts)
