"""How many instances a version should have: `decide(need, now) -> Decision`, a pure function (DESIGN 7)."""

from math import ceil

from msgspec import Struct

NOT_LIVE_IDLE_S = 5.0
"""Instances of a version that is not live any more stay this long at most without a call."""

NO_LIMIT = 1_000_000
"""`room` where memory is not counted."""


class IdleInstance(Struct, frozen=True):
    """An instance all of whose slots are home."""

    id: str
    since: float
    """Monotonic time of its last use."""
    pause_from: float = float("-inf")
    """The engine could not pause it: it is not asked again before this time."""


class Need(Struct, frozen=True, kw_only=True):
    """Everything `decide` knows of a version."""

    live: bool
    stopped: bool
    min: int
    """Instances to keep ready now: the function's minimum, a schedule's, or what is expected soon."""
    max: int
    idle_s: float
    pause_after_s: float | None = None
    """An idle instance is paused after this; None: never."""
    concurrency: int
    queued: int
    """Calls that wait, over all routers, for which there is no free slot."""
    ready: int
    on_the_way: int
    """Starting, being loaded or being resumed."""
    promised: int = 0
    """Of those on the way: their slots are given already, as if they were ready."""
    idle: tuple[IdleInstance, ...]
    """Of the ready ones."""
    paused: tuple[IdleInstance, ...] = ()
    retry_at: float
    """After failed starts, or short lives: no new start before this time."""
    room: int = NO_LIMIT
    """New instances that the machine has memory for, what may be evicted for them counted in."""
    processors_busy: bool = False
    """All of them, and the version has its share: more instances would only take turns with its own."""


class Decision(Struct, frozen=True):
    """What to do, and why in words."""

    start: int
    stop: tuple[str, ...]
    reason: str
    saturated: bool = False
    """Calls wait, and no instance is on its way or may be started."""
    resume: tuple[str, ...] = ()
    pause: tuple[str, ...] = ()
    short: bool = False
    """Memory is missing for more."""

    @property
    def does_nothing(self) -> bool:
        return not (self.start or self.stop or self.resume or self.pause or self.saturated or self.short)


def decide(need: Need, now: float) -> Decision:
    """Have at once what waiting calls need; pause and stop what is idle; keep `min` and `max`."""
    if need.stopped:
        everyone = tuple(each.id for each in (*need.idle, *need.paused))
        return Decision(0, everyone, "the function is stopped")
    minimum = need.min if need.live else 0
    wanted = max(minimum, 0 if need.processors_busy else _wanted_by_queue(need))
    serving = need.ready + need.on_the_way
    if serving < min(wanted, need.max):
        return _more(need, wanted, serving, now)
    return _less(need, wanted, minimum, now)


def quiet_until(need: Need) -> float:
    """Until then, and as long as nothing else happens, `decide` does what it does now: nothing.

    -inf: that is not known, for something waits or is on its way.
    """
    if need.queued or need.on_the_way or need.min:
        return float("-inf")
    due = [each.since + _idle_s(need) for each in (*need.idle, *need.paused)]
    if need.pause_after_s is not None:
        due += [max(each.since + need.pause_after_s, each.pause_from) for each in need.idle]
    return min(due, default=float("inf"))


def _wanted_by_queue(need: Need) -> int:
    """Waiting calls come on top of what is busy; instances on their way will take their share."""
    if not need.queued:
        return 0
    if need.concurrency == 0:
        return 1
    return need.ready + need.promised + ceil(need.queued / need.concurrency)


def _more(need: Need, wanted: int, serving: int, now: float) -> Decision:
    """Resume what is paused, the last used first; start the rest."""
    missing = min(wanted, need.max) - serving
    latest_first = sorted(need.paused, key=lambda each: each.since, reverse=True)
    resume = tuple(each.id for each in latest_first[:missing])
    missing -= len(resume)
    start = min(missing, need.room)
    why = _calls_wait(need.queued) if need.queued else f"the minimum is {need.min}"
    late = now < need.retry_at and missing > 0
    short = not late and start < missing
    if late:
        start = 0
        why += f"; instances fail, the next start is in {need.retry_at - now:.1f} s"
    elif short:
        why += f"; the machine has memory for {start} of {missing} more"
    saturated = bool(need.queued) and not (start or resume or need.on_the_way or late)
    return Decision(start, (), why, saturated, resume, short=short)


def _calls_wait(queued: int) -> str:
    return "1 call waits" if queued == 1 else f"{queued} calls wait"


def _less(need: Need, wanted: int, minimum: int, now: float) -> Decision:
    """Stop what was idle for too long or is over the maximum; pause the rest of what is idle."""
    alive = need.ready + need.on_the_way + len(need.paused)
    stop = _surplus(need, alive, max(minimum, min(wanted, need.max)), now)
    pause = _to_pause(need, minimum, set(stop), now)
    if stop or pause:
        why = f"over the maximum of {need.max}" if alive > need.max else "no call for a while"
        return Decision(0, stop, why, _is_saturated(need), pause=pause)
    if need.queued and need.processors_busy:
        why = f"{_calls_wait(need.queued)}; all processors are busy, and the function has its share of them"
        return Decision(0, (), why, _is_saturated(need))
    if need.queued and wanted > need.max:
        why = f"{_calls_wait(need.queued)}; the maximum of {need.max} instances is reached"
        return Decision(0, (), why, _is_saturated(need))
    return Decision(0, (), f"{alive} instances are enough" if alive != 1 else "1 instance is enough")


def _is_saturated(need: Need) -> bool:
    return bool(need.queued) and not need.on_the_way and (need.processors_busy or need.ready >= need.max)


def _surplus(need: Need, alive: int, keep: int, now: float) -> tuple[str, ...]:
    """Idle for too long, or over the maximum: the longest idle go first."""
    idle_s = _idle_s(need)
    oldest_first = sorted((*need.idle, *need.paused), key=lambda each: each.since)
    expired = [each.id for each in oldest_first if now - each.since >= idle_s]
    over = [each.id for each in oldest_first[: max(0, alive - need.max)]]
    chosen = dict.fromkeys([*over, *expired])
    return tuple(list(chosen)[: max(0, alive - keep)])


def _idle_s(need: Need) -> float:
    return need.idle_s if need.live else min(need.idle_s, NOT_LIVE_IDLE_S)


def _to_pause(need: Need, minimum: int, stopped: set[str], now: float) -> tuple[str, ...]:
    """The minimum stays ready: it is there so that nobody waits."""
    if need.pause_after_s is None:
        return ()
    oldest_first = sorted(need.idle, key=lambda each: each.since)
    left = [each for each in oldest_first if each.id not in stopped]
    ready_after = need.ready - (len(need.idle) - len(left))
    due = [each.id for each in left if now - each.since >= need.pause_after_s and now >= each.pause_from]
    return tuple(due[: max(0, ready_after - minimum)])
