"""The tokens of one limit that this router has leased, and what a call is told. Decides only, in O(1).

A call spends a token that is here already; `router.limits.leases` fetches and returns them in the background.
What may be spent is decided by the store (`plat.leasing`), never here.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol
from zlib import crc32

from plat.feed import Route
from plat.leasing import LEASE_TTL_S, RESERVE, Answer, Ask
from router.limits.answers import LimitAnswers
from router.limits.shares import AWAY_RETRY_S, Share

HOLD_S: Final = LEASE_TTL_S * 0.9
"""A lease is used until so long after it was asked for: it ends here before it ends in the store."""

AHEAD_S: Final = 0.1
"""Tokens for so long are leased ahead, at the pace of the calls; renewed at half."""

PLENTY_AHEAD_S: Final = 1.0
"""The same while the store has more than half of the burst left: nobody lacks what lies here."""

SMALL_RATE: Final = 10.0
SMALL_BURST: Final = 8
"""Below either nothing is leased ahead: no token lies at one router while another refuses a call for it."""

WAIT_S: Final = 0.05
"""A call waits this long for a token that is due, instead of being refused; not if calls come faster."""

WAITERS_LIMIT: Final = 1000
"""Calls that may wait for the first word of one limit's store."""

IDLE_S: Final = 1.0
"""Tokens that were not used for so long go back."""

FORGET_S: Final = 60.0
"""A bucket without tokens that nobody asked for is forgotten."""

WAIT: Final = -1.0
"""The answer to a call: its token may be on its way, put yourself among the waiters."""

_ALWAYS = 1 << 60
KNOWN_LONG_S: Final = 1e9
"""Longer than any store remembers."""


class Waiter(Protocol):
    """A call that waits for a token. `resume`: ask again, now."""

    def resume(self, now: float) -> None: ...


class LeaseRequests:
    """What buckets have to say to the store, and whether it answers. `part` of `parts`: this router."""

    def __init__(self, part: int, parts: int) -> None:
        self.part = part
        self.parts = parts
        self.away_since = -1.0
        """Since when the store does not answer; below 0: it does."""
        self.wanting: dict[str, LeasedBucket] = {}
        """Those that have something to say to the store."""
        self.wake: Callable[[float], None] = _nobody
        """Told when there is something to say at that time."""
        self.resume_first_at: Callable[[LeasedBucket, float], None] = _nobody_resumes
        """Told that the first waiter of a bucket, whichever it is then, is to be resumed at that time."""

    def wants(self, bucket: "LeasedBucket", at: float) -> None:
        bucket.asked_at = at
        self.wanting[bucket.key] = bucket
        self.wake(at)


class LeasedBucket:
    """What this router has of one limit."""

    __slots__ = (
        "_base",
        "_by_share",
        "_expected",
        "_known_at",
        "_low",
        "_pace",
        "_refused",
        "_refused_at",
        "_requests",
        "_scarce_until",
        "_sent_held",
        "_sent_tokens",
        "_settled_at",
        "_share",
        "_share_until",
        "_told_from",
        "_unpaid",
        "_unpaid_sent",
        "_wanted",
        "answers",
        "asked_at",
        "burst",
        "closed",
        "due",
        "in_use",
        "key",
        "left",
        "quiet_above",
        "rate",
        "source",
        "spent_at",
        "tokens",
        "told",
        "until",
        "waiters",
    )

    def __init__(self, requests: LeaseRequests, key: str, known_at: float, now: float) -> None:
        self._requests = requests
        self.key = key
        self.source: Route | None = None
        """What the limit was read from: as long as it is the same object, so is the limit."""
        self.rate = 0.0
        self.burst = 0
        self.closed = False
        self.tokens = 0
        self.until = 0.0
        self.quiet_above = _ALWAYS
        """With more tokens than so many, a call that takes one has nothing else to do."""
        self.spent_at = now
        self._refused_at = now
        self.in_use = 0
        """Of permits: those that calls have."""
        self.due = 0.0
        """No token before this time, says the store."""
        self.left = 0
        """What the store had left when it last spoke."""
        self.answers: LimitAnswers
        """Set with the limit."""
        self.asked_at = 0.0
        """Ask the store, but not before this time."""
        self.waiters: deque[Waiter] = deque()
        self._low = _ALWAYS
        """At so many tokens it is time to ask for more; -1: that is done."""
        self._base = 0
        """Tokens when the store last spoke."""
        self._refused = 0
        """Calls since then that had no token."""
        self._settled_at = now
        self._pace = 0.0
        self._sent_tokens = 0
        self._sent_held = 0
        self._wanted = 0
        self._expected = 0
        """Calls that wait for another limit's token, and will want one of this one then."""
        self._scarce_until = 0.0
        """Calls came faster than tokens of late; forgotten then, unless they still do."""
        self._known_at = known_at
        self._unpaid = False
        self._unpaid_sent = False
        self._share = Share(crc32(key.encode()))
        self._share_until = 0.0
        self._by_share = False
        """Whether the last call was admitted by this router's part."""
        self.told = b""
        """What the call just admitted is told. An estimate: the store leases to others meanwhile."""
        self._told_from = _ALWAYS
        """From so many left down, until the store's next word, something else is told."""

    def bind(self, route: Route, rate: float, burst: int, answers: LimitAnswers) -> None:
        """The limit, as the route says it now."""
        self.source = route
        self.rate, self.burst, self.answers = rate, burst, answers
        self.closed = route.limit_fail == "closed"
        self._tell_anew()

    # --- calls

    def take(self, now: float) -> float:
        """0: admitted. More: refused, with the seconds until it is worth another try. WAIT."""
        tokens = self.tokens
        if tokens > 0 and now < self.until:
            self.tokens = tokens - 1
            self.spent_at = now
            self._by_share = False
            if tokens <= self.quiet_above:
                self._not_quiet(tokens, now)
            return 0.0
        wait_s = self._without_token(now)
        if not wait_s:
            self._tell()
        return wait_s

    def put_back(self) -> None:
        """The token just taken is not needed: another limit has refused the call, or lets it wait."""
        if self._by_share:
            self._share.put_back()
        else:
            self.tokens += 1

    def expect(self, now: float) -> None:
        """A call waits for another limit's token, and will want one of this one too: both come at once."""
        if self._requests.away_since >= 0 or now < self._share_until or now < self.due:
            return
        self._expected += 1
        if not self.tokens or now >= self.until:
            self._ask(now)

    def not_expected(self, now: float) -> None:
        """The other limit has refused the call: others may need what is here."""
        if self.is_small and self.tokens:
            self._ask(now)

    def _not_quiet(self, tokens: int, now: float) -> None:
        """There were so many `tokens` before the call took one."""
        if tokens <= self._low:
            self._ask(now)
        if tokens + self.left <= self._told_from:
            self._tell()
        self.quiet_above = max(self._low, self._told_from - self.left, 0)

    def _tell(self) -> None:
        self._told_from, self.told = self.answers.lines(self.tokens + self.left)

    def _tell_anew(self) -> None:
        self._told_from = self.quiet_above = _ALWAYS

    def _without_token(self, now: float) -> float:
        self._refused += 1
        self._refused_at = now
        if self._requests.away_since >= 0 or now < self._share_until:
            return self._take_share(now)
        if now < self.due:
            return self._until_due(now)
        self._ask(now)
        if len(self.waiters) >= WAITERS_LIMIT or self._is_scarce(now):
            return 1 / self.rate if self.rate else AWAY_RETRY_S
        return WAIT

    def _until_due(self, now: float) -> float:
        wait_s = self.due - now
        if wait_s > WAIT_S or self._is_scarce(now) or len(self.waiters) > WAIT_S * self.rate:
            return wait_s
        self._ask(self.due)
        return WAIT

    def _is_scarce(self, now: float) -> bool:
        """Whether calls come faster than tokens: then none waits for one."""
        return now < self._scarce_until and not self.is_small

    @property
    def is_small(self) -> bool:
        return self.rate < SMALL_RATE or self.burst < SMALL_BURST

    def _ask(self, at: float) -> None:
        self._low = -1
        self._requests.wants(self, at)

    # --- while the store is away, or has forgotten who has what

    def begin_share(self, now: float) -> None:
        self._share.begin(now)
        self.left = 0
        self._tell_anew()

    def end_share(self, now: float) -> bool:
        """Unless its time is not over, or the store has yet to be told of it. Returns the latter."""
        if now >= self._share_until and not self._unpaid:
            self._share.end()
        return self._unpaid

    def _take_share(self, now: float) -> float:
        """This router's part of the limit."""
        if self.closed:
            return max(AWAY_RETRY_S, self._share_until - now)
        self._share.begin(self._requests.away_since)  # of a bucket made since then
        requests, waiting = self._requests, len(self.waiters)
        wait_s = self._share.take(self.rate, self.burst, requests.part, requests.parts, now, waiting)
        if not wait_s:
            self._unpaid = self._unpaid or now >= self._share_until
            self._by_share = True
            return 0.0
        if wait_s > WAIT_S or self._is_scarce(now):
            self._scarce_until = now + AHEAD_S
            return wait_s
        requests.resume_first_at(self, now + wait_s)
        return WAIT

    # --- the store

    def ask(self, now: float, rtt_s: float, *, give_all_back: bool = False) -> Ask:
        """What to tell the store now. What is given back is gone from here at once."""
        self._note_pace(now)
        if now >= self.until:
            self.tokens = 0
        ahead, most = (0, 0) if give_all_back or self.is_idle(now) else self._target(rtt_s)
        expected, self._expected = (0 if give_all_back else self._expected), 0
        returned = max(0, self.tokens - most - expected)
        self.tokens -= returned
        self._low = -1
        needed = ahead + expected + len(self.waiters)
        self._wanted = 0 if give_all_back else max(0, needed - self.tokens)
        self._sent_tokens = self.tokens
        self._sent_held = self.tokens + self.in_use
        self._unpaid_sent = self._unpaid
        return Ask(
            key=self.key,
            rate=self.rate,
            burst=self.burst,
            held=self._sent_held,
            returned=returned,
            want=self._wanted,
            spent_ago_s=max(0.0, now - self.spent_at),
            known_s=min(KNOWN_LONG_S, now - self._known_at),
            unpaid=self._unpaid,
        )

    def _note_pace(self, now: float) -> None:
        """Calls a second of late, refused ones too."""
        elapsed_s = max(1e-3, now - self._settled_at)
        pace = (self._base - self.tokens + self._refused) / elapsed_s
        self._pace += (pace - self._pace) * min(1.0, elapsed_s / AHEAD_S)

    def _target(self, rtt_s: float) -> tuple[int, int]:
        """How many tokens to have here, and at most."""
        if self.is_small:
            return 0, 0
        ahead_s = PLENTY_AHEAD_S if self.left > self.burst / 2 else AHEAD_S
        ahead = min(self._pace, self.rate) * (ahead_s + 2 * rtt_s)
        target = max(1, int(min(ahead, self.burst / RESERVE)))
        return target, 2 * target

    def settle(self, answer: Answer, sent_at: float, now: float) -> None:
        """What the store says to the last `ask`."""
        if answer.lease < 0:
            self.unheard()
            return
        self._lease(answer)
        self.until = sent_at + HOLD_S
        self.left = int(answer.left)
        self._tell_anew()
        self.due = now + answer.wait_s if not self.tokens else 0.0
        lacks = answer.lease - self._sent_held < self._wanted and answer.wait_s > 0
        self._scarce_until = now + AHEAD_S if lacks and not answer.forgotten_s else 0.0
        self._base = self.tokens
        self._refused = 0
        self._settled_at = now
        self._low = _ALWAYS if self.is_small else max(1, self.tokens // 2)
        self._note_forgotten(answer.forgotten_s, sent_at, now)
        if self._unpaid_sent:
            self._unpaid = self._unpaid_sent = False

    def unheard(self) -> None:
        """No answer came: the next call may ask again."""
        self._low = self.quiet_above = _ALWAYS

    def _lease(self, answer: Answer) -> None:
        """Less what was spent since it was asked."""
        self.tokens = max(0, answer.lease - (self._sent_tokens - self.tokens))

    def _note_forgotten(self, forgotten_s: float, sent_at: float, now: float) -> None:
        if forgotten_s > 0:
            self.end_share(now)
            self.begin_share(now)
            self._share_until = sent_at + forgotten_s
        else:
            self._share.end()
            self._share_until = 0.0

    def resume_waiters(self, now: float) -> None:
        """In the order they came; who is not served may wait again."""
        waiting, self.waiters = self.waiters, deque()
        for waiter in waiting:
            waiter.resume(now)

    def resume_first(self, now: float) -> None:
        """The others wait for later tokens."""
        if self.waiters:
            self.waiters.popleft().resume(now)

    def leave(self, waiter: Waiter) -> None:
        if waiter in self.waiters:
            self.waiters.remove(waiter)

    # --- time

    def needs_word(self, now: float) -> bool:
        """Whether a lease has to be renewed, or lies idle."""
        if not self.tokens and not self.in_use:
            return False
        return self.until - now < HOLD_S / 2 or (self.tokens > 0 and self.is_idle(now))

    def is_idle(self, now: float) -> bool:
        return now - max(self.spent_at, self._refused_at) >= IDLE_S

    def is_forgettable(self, now: float) -> bool:
        unused = not self.tokens and not self.in_use and not self.waiters and not self._unpaid
        return unused and now - max(self.spent_at, self._refused_at) >= FORGET_S


def _nobody(at: float) -> None:
    """Nobody fetches tokens: there is no store yet."""


def _nobody_resumes(bucket: LeasedBucket, at: float) -> None:
    """A store that is not there yet cannot be away."""
