"""How many instances a version should have: `decide(need, now) -> Decision`, a pure function (DESIGN 7)."""

from math import ceil

from msgspec import Struct

NOT_LIVE_IDLE_S = 5.0
"""Instances of a version that is not live any more stay this long at most without a call."""


class IdleInstance(Struct, frozen=True):
    """An instance all of whose slots are home."""

    id: str
    since: float
    """Monotonic time of its last use."""


class Need(Struct, frozen=True, kw_only=True):
    """Everything `decide` knows of a version."""

    live: bool
    stopped: bool
    min: int
    max: int
    idle_s: float
    concurrency: int
    queued: int
    """Calls that wait, over all routers, for which there is no free slot."""
    ready: int
    on_the_way: int
    idle: tuple[IdleInstance, ...]
    retry_at: float
    """After a failed start: no new attempt before this time."""


class Decision(Struct, frozen=True):
    """What to do, and why in words."""

    start: int
    stop: tuple[str, ...]
    reason: str
    saturated: bool = False
    """Calls wait, and no instance is on its way or may be started."""


def decide(need: Need, now: float) -> Decision:
    """Start at once what waiting calls need; stop what was idle for `idle_s`; keep `min` and `max`."""
    if need.stopped:
        return Decision(0, tuple(each.id for each in need.idle), "the function is stopped")
    alive = need.ready + need.on_the_way
    minimum = need.min if need.live else 0
    wanted = max(minimum, _wanted_by_queue(need))
    if alive < wanted:
        return _start(need, min(wanted, need.max) - alive, now)
    surplus = _surplus(need, alive, max(minimum, wanted), now)
    if surplus:
        return Decision(0, surplus, f"idle: {len(surplus)} of {alive} instances are not needed")
    return Decision(0, (), f"{alive} instances are enough")


def _wanted_by_queue(need: Need) -> int:
    """Waiting calls come on top of what is busy; instances on their way will take their share."""
    if not need.queued:
        return 0
    if need.concurrency == 0:
        return 1
    return need.ready + ceil(need.queued / need.concurrency)


def _start(need: Need, count: int, now: float) -> Decision:
    if count <= 0:
        saturated = bool(need.queued) and not need.on_the_way
        return Decision(0, (), f"the maximum of {need.max} instances is reached", saturated)
    if now < need.retry_at:
        return Decision(0, (), f"the last start failed; next attempt in {need.retry_at - now:.1f} s")
    return Decision(count, (), f"{need.queued} calls wait and the minimum is {need.min}: start {count}")


def _surplus(need: Need, alive: int, keep: int, now: float) -> tuple[str, ...]:
    """Idle for too long, or over the maximum: the longest idle go first."""
    idle_s = need.idle_s if need.live else min(need.idle_s, NOT_LIVE_IDLE_S)
    oldest_first = sorted(need.idle, key=lambda each: each.since)
    expired = [each.id for each in oldest_first if now - each.since >= idle_s]
    over = [each.id for each in oldest_first[: max(0, alive - need.max)]]
    chosen = dict.fromkeys([*over, *expired])
    return tuple(list(chosen)[: max(0, alive - keep)])
