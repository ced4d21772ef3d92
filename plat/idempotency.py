"""One execution for one idempotency key: the rules that every store of keys keeps, and their reference.

Decides only, time passed in. `router/idempotency/idempotency.lua` is the same for Redis; one set of tests
holds for both.

A key is claimed before its call asks for an instance, begun before a byte of it is sent there, and done when
its answer is stored. A claim that is not renewed can be taken over, for nothing was sent. What has begun is
never begun again: if its owner is gone, its outcome stays unknown.
"""

from collections import OrderedDict
from enum import StrEnum

from msgspec import Struct

LEASE_S = 5.0
"""An owner that has not been heard of for this long is gone."""

RENEW_S = 1.0
"""How often owners are heard of."""

HOLD_S = LEASE_S
"""A store that has just begun to remember gives out no key for this long: owners tell it theirs meanwhile."""

OVERHEAD_BYTES = 600
"""What a key takes in memory besides its answer."""


class Claim(Struct, frozen=True, gc=False, array_like=True, tag="claim"):
    """May I? `token` is new for each claim, and nobody else's."""

    key: str
    token: str
    fingerprint: str


class Begin(Struct, frozen=True, gc=False, array_like=True, tag="begin"):
    """From now on it may have been executed. Kept for `keep_s` from now."""

    key: str
    token: str
    keep_s: float


class Renew(Struct, frozen=True, gc=False, array_like=True, tag="renew"):
    """I am still there. A store that has forgotten everything learns the claim from this."""

    key: str
    token: str
    fingerprint: str
    begun: bool
    keep_s: float


class Finish(Struct, frozen=True, gc=False, array_like=True, tag="finish"):
    """The answer, for whoever asks within `keep_s`."""

    key: str
    token: str
    fingerprint: str
    answer: bytes
    keep_s: float


class Release(Struct, frozen=True, gc=False, array_like=True, tag="release"):
    """Nothing was sent to any instance: the key is free."""

    key: str
    token: str


Request = Claim | Begin | Renew | Finish | Release


class State(StrEnum):
    MINE = "mine"
    """What was asked is done."""
    LOST = "lost"
    """The claim is not (or no longer) the asker's; nothing was done."""
    RUNNING = "running"
    """Claimed or begun by another, who is there."""
    DONE = "done"
    UNKNOWN = "unknown"
    """Begun by another, who is gone."""
    YOUNG = "young"
    """The store does not know yet who has the key."""


class Verdict(Struct, frozen=True, gc=False, array_like=True):
    state: State
    fingerprint: str = ""
    """Of the call that has the key, if another has."""
    answer: bytes = b""


MINE, LOST, YOUNG = Verdict(State.MINE), Verdict(State.LOST), Verdict(State.YOUNG)


class _Record:
    __slots__ = ("answer", "begun", "fingerprint", "forget_at", "token", "until")

    def __init__(self, token: str, fingerprint: str, until: float) -> None:
        self.token = token
        self.fingerprint = fingerprint
        self.until = until
        """When the owner is taken to be gone, unless it is heard of."""
        self.begun = False
        self.forget_at = until
        self.answer: bytes | None = None

    @property
    def weight(self) -> int:
        return OVERHEAD_BYTES + len(self.answer or b"")


class Records:
    """All keys of a store that remembers since `since`; of those that have ended, `limit_bytes`."""

    def __init__(self, since: float, limit_bytes: int) -> None:
        self._since = since
        self._limit_bytes = limit_bytes
        self._open: dict[str, _Record] = {}
        self._ended: OrderedDict[str, _Record] = OrderedDict()
        """Done, or begun by somebody who is gone. The one used last is last."""
        self.bytes = 0
        """What those that have ended weigh."""
        self.evicted = 0
        """Keys forgotten before their time, to make room."""

    def __len__(self) -> int:
        return len(self._open) + len(self._ended)

    def trust(self) -> None:
        """Nothing was forgotten, or all owners have told."""
        self._since = float("-inf")

    def answer(self, request: Request, now: float) -> Verdict:
        record = self._find(request.key, now)
        match request:
            case Claim():
                return self._claim(request, record, now)
            case Begin(key, token, keep_s):
                if not _is_open(record, token):
                    return LOST
                self._heard(key, record, now, begun=True, keep_s=keep_s)
            case Renew():
                return self._renew(request, record, now)
            case Finish():
                return self._finish(request, record, now)
            case Release(key, token):
                if not _is_open(record, token):
                    return LOST
                self._open.pop(key, None)
                self._drop_ended(key)
        return MINE

    def sweep(self, now: float) -> None:
        """Forget what is over, and see who is gone."""
        for key in [*self._open, *self._ended]:
            self._find(key, now)

    # --- requests

    def _claim(self, claim: Claim, record: _Record | None, now: float) -> Verdict:
        if record is None and now - self._since < HOLD_S:
            return YOUNG
        if record is None or (record.token == claim.token and not record.begun):
            self._open[claim.key] = _Record(claim.token, claim.fingerprint, now + LEASE_S)
            return MINE
        if claim.key in self._ended:
            self._ended.move_to_end(claim.key)
        if record.answer is not None:
            return Verdict(State.DONE, record.fingerprint, record.answer)
        state = State.RUNNING if record.until > now else State.UNKNOWN
        return Verdict(state, record.fingerprint)

    def _renew(self, renew: Renew, record: _Record | None, now: float) -> Verdict:
        if record is None and now - self._since < HOLD_S:
            record = _Record(renew.token, renew.fingerprint, now)
        elif not _is_open(record, renew.token):
            return LOST
        self._heard(renew.key, record, now, begun=renew.begun, keep_s=renew.keep_s)
        return MINE

    def _finish(self, finish: Finish, record: _Record | None, now: float) -> Verdict:
        if record is not None and record.token != finish.token:
            return LOST
        self._open.pop(finish.key, None)
        self._drop_ended(finish.key)
        done = _Record(finish.token, finish.fingerprint, now)
        done.begun, done.answer, done.forget_at = True, finish.answer, now + finish.keep_s
        self._put_ended(finish.key, done)
        return MINE

    # --- records

    def _find(self, key: str, now: float) -> _Record | None:
        """As it is now."""
        record = self._open.get(key) or self._ended.get(key)
        if record is None:
            return None
        if record.forget_at <= now:
            self._open.pop(key, None)
            self._drop_ended(key)
            return None
        if key in self._open and record.begun and record.until <= now:
            del self._open[key]
            self._put_ended(key, record)
        return record

    def _heard(self, key: str, record: _Record | None, now: float, *, begun: bool, keep_s: float) -> None:
        assert record is not None
        self._drop_ended(key)
        self._open[key] = record
        record.begun = record.begun or begun
        record.until = now + LEASE_S
        record.forget_at = now + max(keep_s, LEASE_S) if record.begun else record.until

    def _put_ended(self, key: str, record: _Record) -> None:
        self._ended[key] = record
        self.bytes += record.weight
        while self.bytes > self._limit_bytes and len(self._ended) > 1:
            self._drop_ended(next(iter(self._ended)))
            self.evicted += 1

    def _drop_ended(self, key: str) -> None:
        record = self._ended.pop(key, None)
        if record is not None:
            self.bytes -= record.weight


def _is_open(record: _Record | None, token: str) -> bool:
    """Whether it is the asker's, and not done."""
    return record is not None and record.token == token and record.answer is None
