"""Every order of events at a slot table: no slot is lost, doubled, or idle while a call waits."""

import asyncio
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from plat.errors import PlatError
from plat.feed import Faulted, FromRouter, Grant, Reclaim, Returned
from router.slots import InstanceSlots, SlotTable, Waiter

VERSIONS = ("v1", "v2")
INSTANCES = {"a": "v1", "b": "v1", "c": "v2"}
QUEUE_LIMIT = 4


class Waiting:
    """A call in the queue, as its task would hold it."""

    def __init__(self, version: str, waiter: Waiter, future: "asyncio.Future[InstanceSlots]") -> None:
        self.version = version
        self.waiter = waiter
        self.future = future
        self.ended = False

    @property
    def served(self) -> bool:
        future = self.future
        return future.done() and not future.cancelled() and future.exception() is None


class Slots(RuleBasedStateMachine):
    """The model: what the pool granted and got back, and who holds what."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.table = SlotTable(self.sent, lambda version: self.changed.add(version.id), QUEUE_LIMIT)
        self.changed: set[str] = set()
        self.granted: Counter[str] = Counter()
        self.in_call: Counter[InstanceSlots] = Counter()
        self.queue: list[Waiting] = []

    def teardown(self) -> None:
        for waiting in self.queue:
            if waiting.future.done() and not waiting.future.cancelled():
                waiting.future.exception()
        self.loop.close()

    def sent(self, message: FromRouter) -> None:
        match message:
            case Returned(instance, slots, idle_s):
                assert slots > 0
                assert idle_s >= 0
                self.granted[instance] -= slots
                assert self.granted[instance] >= 0
            case Faulted(instance):
                del self.granted[instance]
            case _:
                raise AssertionError(message)

    # --- the pool

    @rule(instance=st.sampled_from(sorted(INSTANCES)), slots=st.integers(1, 3))
    def grant(self, instance: str, slots: int) -> None:
        self.granted[instance] += slots
        self.table.grant(Grant(instance, INSTANCES[instance], f"unix:/{instance}", slots), self.now)

    @rule(instance=st.sampled_from(sorted(INSTANCES)), slots=st.integers(1, 4))
    def reclaim(self, instance: str, slots: int) -> None:
        self.table.reclaim(Reclaim(instance, slots), self.now)

    @rule(instance=st.sampled_from(sorted(INSTANCES)))
    def drop(self, instance: str) -> None:
        self.table.drop(instance)
        self.granted.pop(instance, None)

    @rule(version=st.sampled_from(VERSIONS))
    def start_failed(self, version: str) -> None:
        self.table.fail_waiters(version, PlatError("instance_unavailable", "no"))

    @rule()
    def reconnect(self) -> None:
        self.table.forget_debts()

    # --- calls

    @rule(target=calls, version=st.sampled_from(VERSIONS))
    def call(self, version: str) -> object:
        instance = self.table.take(version, self.now)
        if instance is not None:
            assert instance.version.id == version
            self.in_call[instance] += 1
            return instance
        future: asyncio.Future[InstanceSlots] = self.loop.create_future()
        waiter = self.table.wait(version, 0, lambda: future)
        if isinstance(waiter, PlatError):
            assert waiter.code == "queue_full"
            assert self.table.version(version).waiting == QUEUE_LIMIT
            return multiple()
        waiting = Waiting(version, waiter, future)
        self.queue.append(waiting)
        return waiting

    @rule(call=consumes(calls), how=st.sampled_from(["release", "fault", "cancel", "deadline"]))
    def end(self, call: InstanceSlots | Waiting, how: str) -> None:
        """A call that runs ends; one that waits leaves, also when it was served a moment ago."""
        instance = self.left(call, how) if isinstance(call, Waiting) else call
        if instance is not None:
            self.in_call[instance] -= 1
            if how == "fault":
                self.table.fault(instance, "timeout")
            else:
                self.table.release(instance, self.now)

    def left(self, call: Waiting, how: str) -> InstanceSlots | None:
        """What the task of a waiting call does when it wakes: with its slot, or to leave."""
        call.ended = True
        if call.served and how in ("release", "fault"):
            self.in_call[call.future.result()] += 1
            return call.future.result()
        if how == "deadline":
            call.waiter.fail(PlatError("no_instance", "late"))
        else:
            call.future.cancel()
        self.table.leave(call.version, call.waiter, self.now)
        return None

    @rule(call=calls)
    def deadline_passes(self, call: InstanceSlots | Waiting) -> None:
        """The timer fires before the task runs: for a while the queue holds a call that has failed."""
        if isinstance(call, Waiting) and not call.ended:
            call.waiter.fail(PlatError("no_instance", "late"))

    # --- time

    @rule(seconds=st.floats(0, 10))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(hold_s=st.floats(0, 10))
    def return_idle(self, hold_s: float) -> None:
        self.table.return_idle(self.now, lambda _: hold_s)

    @rule()
    def forget_empty(self) -> None:
        self.table.forget_empty()

    # --- what holds always

    @invariant()
    def counts_are_possible(self) -> None:
        for instance in self.table.instances():
            assert 0 <= instance.in_use <= instance.granted
            assert 0 <= instance.debt <= instance.in_use
            assert not instance.gone

    @invariant()
    def every_slot_is_somewhere_once(self) -> None:
        """Granted less returned less lost = in use + free, at each instance."""
        there = {each.id: each for each in self.table.instances()}
        for instance, slots in self.granted.items():
            assert slots == (there[instance].granted if instance in there else 0)
        assert set(there) <= set(self.granted)

    @invariant()
    def calls_and_counts_agree(self) -> None:
        use = Counter(self.in_call)
        for waiting in self.queue:
            if waiting.served and not waiting.ended:
                use[waiting.future.result()] += 1
        for instance, count in use.items():
            assert instance.in_use == count
            if not instance.gone:
                assert count <= self.granted[instance.id]
        for version in self.table.versions():
            assert version.in_flight == sum(
                count for instance, count in use.items() if instance.version is version
            )

    @invariant()
    def nobody_waits_while_a_slot_is_free(self) -> None:
        for instance in self.table.instances():
            if instance.free:
                assert not self.really_waiting(instance.version.id)

    @invariant()
    def waiting_is_counted_and_in_order(self) -> None:
        for name in VERSIONS:
            version = self.table.version(name)
            assert version.waiting == sum(each.queued for each in version.waiters)
            order = [each.waiter for each in self.queue if each.version == name]
            queued = [each for each in version.waiters if each.queued]
            assert queued == [each for each in order if each.queued]

    def really_waiting(self, version: str) -> list[Waiting]:
        return [each for each in self.queue if each.version == version and not each.future.done()]

    @invariant()
    def in_turn(self) -> None:
        """Nobody was served while somebody who came earlier waits on."""
        for name in VERSIONS:
            waits = False
            for each in self.queue:
                if each.version == name:
                    waits = waits or not each.future.done()
                    assert not (waits and each.served and not each.ended)

    @invariant()
    def stack_has_each_once(self) -> None:
        for version in self.table.versions():
            assert len(version.stack) == len(set(version.stack))
            free = {each for each in version.instances.values() if each.free}
            assert free <= set(version.stack)
            assert all(each.on_stack for each in version.stack)


Slots.TestCase.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
TestSlots = Slots.TestCase
