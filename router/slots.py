"""The slots a router holds: which call may go to which instance, and who waits (DESIGN 4).

Decides only: no I/O, time passed in. What the pool must hear goes to `send`; a waiting call is a
future that its task awaits. Taking and returning a slot is O(1).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from plat.errors import PlatError
from plat.feed import Faulted, FromRouter, Grant, Held, Reclaim, Returned
from router.overload import Load, most_waiting
from router.parked import Closable, ParkedConnections

QUEUE_FULL = PlatError("queue_full", "The function's queue is full. Try again later.", retry_after_s=1)
TOO_MANY = PlatError(
    "queue_full",
    "More calls come than the function can take, and it has all the instances it may have.",
    retry_after_s=1,
)


class InstanceSlots:
    """The slots held at one instance. One of these objects, taken once, is the right to one call."""

    __slots__ = (
        "address",
        "connections",
        "debt",
        "gone",
        "granted",
        "id",
        "in_use",
        "last_used",
        "on_stack",
        "version",
    )

    def __init__(self, grant: Grant, version: "VersionSlots", now: float) -> None:
        self.id = grant.instance
        self.address = grant.address
        self.version = version
        self.granted = 0
        self.in_use = 0
        self.debt = 0
        """Slots the pool wants back as soon as they are free."""
        self.on_stack = False
        self.last_used = now
        self.gone = False
        self.connections: list[Closable] = []
        """Idle upstream connections, the last used on top; `upstream` puts and takes them."""

    @property
    def free(self) -> int:
        return max(0, self.granted - self.in_use)

    @property
    def loading(self) -> bool:
        """Its slots are promised: they are to be used when it is ready."""
        return self.id in self.version.loading

    def __repr__(self) -> str:
        return f"<InstanceSlots {self.id} {self.in_use}/{self.granted} debt={self.debt} gone={self.gone}>"


class Waiter:
    """A call that waits for a slot. It *accepts* one: a call that has left is never handed any."""

    __slots__ = ("future", "queued")

    def __init__(self, future: "asyncio.Future[InstanceSlots]") -> None:
        self.future = future
        self.queued = True

    def offer(self, instance: InstanceSlots) -> bool:
        if self.future.done():
            return False
        self.future.set_result(instance)
        return True

    def fail(self, error: PlatError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class VersionSlots:
    """All that a router knows of one version: free slots, waiting calls, calls in flight."""

    __slots__ = ("id", "in_flight", "instances", "load", "loading", "stack", "waiters", "waiting")

    def __init__(self, version_id: str) -> None:
        self.id = version_id
        self.stack: list[InstanceSlots] = []
        """Instances with a free slot, each once, the last used on top; gone ones are skipped."""
        self.instances: dict[str, InstanceSlots] = {}
        self.loading: dict[str, InstanceSlots] = {}
        """Those of them that are not ready yet."""
        self.waiters: deque[Waiter] = deque()
        """In order of arrival. One that left stays until it comes to the front."""
        self.waiting = 0
        self.in_flight = 0
        self.load = Load()

    @property
    def slots(self) -> int:
        return sum(instance.granted for instance in self.instances.values())

    @property
    def lacking(self) -> int:
        """Calls that wait and for which no slot is promised."""
        return max(0, self.waiting - sum(instance.granted for instance in self.loading.values()))


class SlotTable:
    """The slots of all versions.

    `send` takes messages for the pool; `demand_changed` is told whose demand is to be sent anew.
    """

    def __init__(
        self,
        send: Callable[[FromRouter], None],
        demand_changed: Callable[[VersionSlots], None],
        queue_limit: int,
    ) -> None:
        self._send = send
        self._demand_changed = demand_changed
        self._queue_limit = queue_limit
        self._versions: dict[str, VersionSlots] = {}
        self._instances: dict[str, InstanceSlots] = {}
        self._parked = ParkedConnections()

    # --- calls

    def take(self, version_id: str, now: float) -> InstanceSlots | None:
        """A free slot, or None. The caller gives it back with `release` or `fault`, exactly once."""
        version = self._versions.get(version_id)
        if version is None:
            return None
        stack = version.stack
        while stack:
            instance = stack[-1]
            if instance.granted > instance.in_use:  # `free`, without the cost of a property
                version.load.arrived += 1
                instance.in_use += 1
                version.in_flight += 1
                instance.last_used = now
                return instance
            stack.pop().on_stack = False
        return None

    def wait(
        self, version_id: str, now: float, new_future: Callable[[], "asyncio.Future[InstanceSlots]"]
    ) -> Waiter | PlatError:
        """Queue up: the waiter's future gets a slot, taken already, or a PlatError. Or be refused at once.

        The refusals are shared: of every PlatError that this table gives, raise it `with_traceback(None)`.
        """
        version = self.version(version_id)
        version.load.arrived += 1
        if version.waiting >= self._queue_limit:
            version.load.queue_is_full(now)
            return QUEUE_FULL
        if version.load.is_flood(now) and version.waiting >= (most := most_waiting(version.slots)):
            self._shed(version, most)
            return TOO_MANY
        waiter = Waiter(new_future())
        version.waiters.append(waiter)
        version.waiting += 1
        self._demand_changed(version)
        return waiter

    def _shed(self, version: VersionSlots, keep: int) -> None:
        """Those who queued before it was seen that there are too many: the longest waiting go first."""
        while version.waiting > keep:
            waiter = version.waiters.popleft()
            if waiter.queued:
                self._unqueue(version, waiter)
                waiter.fail(TOO_MANY)

    def leave(self, version_id: str, waiter: Waiter, now: float) -> None:
        """A waiting call gives up (deadline, client gone). A slot it was handed meanwhile comes back."""
        version = self.version(version_id)
        future = waiter.future
        if future.done() and not future.cancelled() and future.exception() is None:
            self.release(future.result(), now)
            return
        future.cancel()
        if waiter.queued:
            self._unqueue(version, waiter)
            while version.waiters and not version.waiters[0].queued:
                version.waiters.popleft()

    def release(self, instance: InstanceSlots, now: float) -> None:
        """A call has ended: its slot goes to the pool if owed, else to a waiter, else on the stack."""
        version = instance.version
        version.load.ended += 1
        version.in_flight -= 1
        instance.in_use -= 1
        instance.last_used = now
        if instance.gone:
            return
        if instance.debt:
            instance.debt -= 1
            self._give_back(instance, 1, now, park=True)
        elif not version.waiting or not self._hand_over(instance, now):
            self._stack(instance)

    def fault(self, instance: InstanceSlots, reason: str) -> None:
        """A call went wrong so that its instance must not be used again; its slot is lost with it."""
        instance.in_use -= 1
        instance.version.in_flight -= 1
        if not instance.gone:
            self._send(Faulted(instance.id, reason))
            self._forget(instance)

    # --- the pool's word

    def grant(self, message: Grant, now: float) -> InstanceSlots:
        version = self.version(message.version)
        instance = self._instances.get(message.instance)
        if instance is None:
            instance = InstanceSlots(message, version, now)
            self._instances[instance.id] = version.instances[instance.id] = instance
            if (parked := self._parked.take(instance.id)) is not None:
                instance.connections.append(parked)
            if message.loading:
                version.loading[instance.id] = instance
        instance.granted += message.slots
        if not instance.loading:
            self._use(instance, now)
        return instance

    def loaded(self, instance_id: str, now: float) -> None:
        """It is ready: who waits may use it. Nothing happens if that is known."""
        instance = self._instances.get(instance_id)
        if instance is not None and instance.loading:
            del instance.version.loading[instance_id]
            self._use(instance, now)

    def reclaim(self, message: Reclaim, now: float) -> None:
        """Give back idle slots at once, and owe the rest."""
        instance = self._instances.get(message.instance)
        if instance is None:
            return
        wanted = min(message.slots, instance.granted)
        at_once = min(wanted, instance.free)
        instance.debt = min(instance.in_use, instance.debt + wanted - at_once)
        if at_once:
            self._give_back(instance, at_once, now, park=True)

    def drop(self, instance_id: str) -> InstanceSlots | None:
        """The instance has ended. Returns it for its connections to be closed."""
        self._parked.drop(instance_id)
        instance = self._instances.get(instance_id)
        if instance is not None:
            self._forget(instance)
        return instance

    def saturated(self, version_id: str, now: float) -> None:
        """There will be no more instances of the version than there are."""
        self.version(version_id).load.saturated(now)

    def fail_waiters(self, version_id: str, error: PlatError) -> None:
        version = self._versions.get(version_id)
        if version is None:
            return
        while version.waiters:
            waiter = version.waiters.popleft()
            if waiter.queued:
                self._unqueue(version, waiter)
                waiter.fail(error)

    def return_idle(self, now: float, hold_s: Callable[[str], float]) -> None:
        """Give the pool what has not been used for `hold_s(version id)` seconds."""
        for instance in list(self._instances.values()):
            idle_s = now - instance.last_used
            if instance.loading:
                continue
            if not instance.in_use and instance.free and idle_s >= hold_s(instance.version.id):
                self._give_back(instance, instance.free, now, park=False)

    def close_parked(self, now: float) -> None:
        """Connections that were kept for long enough."""
        self._parked.close_old(now)

    def forget_empty(self) -> None:
        """Versions without instance, waiter or call: they are made anew when one comes."""
        for version in list(self._versions.values()):
            if not (version.instances or version.waiting or version.in_flight):
                del self._versions[version.id]

    def close(self) -> None:
        """All idle connections: every call has ended."""
        self._parked.close()
        for instance in self._instances.values():
            self._close_idle(instance)

    # --- for a pool that has just (re)started

    def held(self) -> list[Held]:
        return [Held(each.id, each.granted) for each in self._instances.values() if not each.loading]

    def forget_promises(self) -> None:
        """A pool promises anew: whether what loads is ever ready would never be told."""
        for instance in list(self._instances.values()):
            if instance.loading:
                self._forget(instance)
                self._close_idle(instance)

    def forget_debts(self) -> None:
        """A restarted pool asks anew for what it wants back."""
        for instance in self._instances.values():
            instance.debt = 0

    # --- reading

    def version(self, version_id: str) -> VersionSlots:
        version = self._versions.get(version_id)
        if version is None:
            version = self._versions[version_id] = VersionSlots(version_id)
        return version

    def versions(self) -> Iterable[VersionSlots]:
        return self._versions.values()

    def instances(self) -> Iterable[InstanceSlots]:
        return list(self._instances.values())

    # --- steps

    def _use(self, instance: InstanceSlots, now: float) -> None:
        while instance.free and instance.version.waiting:
            self._hand_over(instance, now)
        self._stack(instance)

    def _hand_over(self, instance: InstanceSlots, now: float) -> bool:
        """One free slot to the first waiter that accepts it."""
        version = instance.version
        while version.waiters:
            waiter = version.waiters.popleft()
            if not waiter.queued:
                continue
            self._unqueue(version, waiter)
            if waiter.offer(instance):
                instance.in_use += 1
                version.in_flight += 1
                instance.last_used = now
                return True
        return False

    def _unqueue(self, version: VersionSlots, waiter: Waiter) -> None:
        waiter.queued = False
        version.waiting -= 1
        self._demand_changed(version)

    def _stack(self, instance: InstanceSlots) -> None:
        if not instance.on_stack and instance.free:
            instance.version.stack.append(instance)
            instance.on_stack = True

    def _give_back(self, instance: InstanceSlots, slots: int, now: float, *, park: bool) -> None:
        instance.granted -= slots
        self._send(Returned(instance.id, slots, max(0.0, now - instance.last_used)))
        if not instance.granted:
            self._forget(instance)
            if park and instance.connections:
                self._parked.park(instance.id, instance.connections.pop(), now)
            self._close_idle(instance)

    def _forget(self, instance: InstanceSlots) -> None:
        version = instance.version
        instance.gone = True
        instance.granted = 0
        self._instances.pop(instance.id, None)
        version.instances.pop(instance.id, None)
        if version.loading.pop(instance.id, None) is not None:
            # Also if nobody waits any more: the pool takes it that somebody does.
            self._demand_changed(version)

    def _close_idle(self, instance: InstanceSlots) -> None:
        while instance.connections:
            instance.connections.pop().close()
