"""Two routers' slot tables and one pool, their messages in any order: the promise of DESIGN 4.

No instance ever has more calls in it than slots; nothing is stopped, paused or evicted under a call; the
instances never need more memory than there is; and once everything has been said and every call has
ended, no slot is lost and nobody waits. Instances come of warm ones, or not, or those are of no use.
"""

import asyncio
import tempfile
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from plat.errors import PlatError
from plat.feed import (
    Demand,
    FromRouter,
    Gone,
    Grant,
    Hello,
    Loaded,
    MemoryPressure,
    Reclaim,
    Saturated,
    StartFailed,
    ToRouter,
)
from pool.away import GRACE_S
from pool.health import UselessError
from pool.launcher import LAST_WORD_S
from pool.lifecycle import State
from router.slots import InstanceSlots, SlotTable, VersionSlots, Waiter
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import Clock, Rig, function, settle

FUNCTIONS = ("f", "g")
INSTANCE_MB = 128
SEATS = 2
"""Router processes; one that dies is started again under another name."""


class Call:
    """One call at a router: it waits, or it is in an instance."""

    def __init__(self, router: "Router", version: str) -> None:
        self.router = router
        self.version = version
        self.instance: InstanceSlots | None = None
        self.waiter: Waiter | None = None
        self.over = False

    @property
    def waits(self) -> bool:
        """Neither served nor failed."""
        return self.waiter is not None and not self.waiter.future.done()

    @property
    def served(self) -> InstanceSlots | None:
        """Where it is, also when it has not noticed yet that it was served."""
        if self.waiter is None or self.over:
            return self.instance
        future = self.waiter.future
        done = future.done() and not future.cancelled() and future.exception() is None
        return future.result() if done else None


class Router:
    """A router process: its table, its calls, and the two directions of its link."""

    def __init__(self, name: str, world: "World") -> None:
        self.name = name
        self.world = world
        self.up: deque[FromRouter] = deque()
        self.connected = False
        self.grants_seen = 0
        self.calls: list[Call] = []
        self.slots = SlotTable(self.send, self.demand, queue_limit=1000)

    def send(self, message: FromRouter) -> None:
        if self.connected:
            self.up.append(message)

    def demand(self, version: VersionSlots) -> None:
        self.send(Demand(version.id, version.lacking, version.in_flight, self.grants_seen))

    def connect(self) -> None:
        self.grants_seen = 0
        self.slots.forget_debts()
        self.slots.forget_promises()
        self.up.append(Hello(self.name, self.slots.held()))
        self.connected = True
        for version in self.slots.versions():
            if version.waiting:
                self.demand(version)

    def disconnect(self) -> None:
        self.connected = False
        self.up.clear()

    def hear(self, message: ToRouter) -> None:
        match message:
            case Grant():
                self.grants_seen += 1
                self.slots.grant(message, self.world.clock.now)
            case Loaded(instance):
                self.slots.loaded(instance, self.world.clock.now)
            case Reclaim():
                self.slots.reclaim(message, self.world.clock.now)
            case Gone(instance):
                self.slots.drop(instance)
            case MemoryPressure():
                self.slots.return_idle(self.world.clock.now, lambda _: 0.0)
            case Saturated(version):
                self.slots.saturated(version, self.world.clock.now)
            case StartFailed():
                self.slots.fail_waiters(message.version, PlatError(message.code, message.detail))


WEIGHTS = {
    "call": 4,
    "call_the_other": 3,
    "call_and_talk": 4,
    "first_call_ends": 5,
    "last_call_ends": 2,
    "deliver_up": 4,
    "deliver_down": 4,
    "talk": 2,
    "reconnect": 2,
    "return_idle": 2,
    "pool_tick": 4,
    "a_moment_passes": 2,
    "time_passes": 3,
    "link_breaks": 2,
    "router_dies": 2,
    "orphans_end": 1,
    "pool_is_killed": 1,
    "pool_is_back_before_it_knows": 2,
    "pool_hears_control_and_lists": 2,
    "instance_dies": 1,
    "warm_ones_are_of_no_use": 1,
    "warm_ones_are_of_use": 1,
    "a_handler_fails_once": 1,
    "loading_takes_its_time": 2,
    "an_instance_says_that_it_is_ready": 4,
    "loading_ends": 3,
    "loading_fails": 1,
    "a_call_wakes_a_paused_one": 3,
    "resuming_ends": 3,
    "resuming_fails": 1,
    "function_stops_and_starts": 1,
    "a_new_version_goes_live": 2,
    "everything_is_said_and_done": 1,
}
"""What may happen next, and how often: mostly calls, so that something is at stake when a link breaks."""

ACTIONS = [name for name, weight in WEIGHTS.items() for _ in range(weight)]


class World(RuleBasedStateMachine):
    """Routers, a pool, and a machine with instances."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.patch = pytest.MonkeyPatch()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.clock.install(self.patch)
        self.names = count(1)
        self.driver = MemoryDriver()
        self.orphans: Counter[str] = Counter()
        self.routers = [Router(f"r{next(self.names)}", self) for _ in range(SEATS)]
        self.checked_stops = 0
        self.said: set[str] = set()
        """Instances that have loaded, as their routers know before the pool hears of it."""

    @initialize(
        concurrency=st.sampled_from([1, 2]),
        maximum=st.integers(1, 2),
        warm=st.integers(0, 1),
        room=st.sampled_from([0, 1, 2, 3]),
        pauses=st.booleans(),
    )
    def begin(self, concurrency: int, maximum: int, warm: int, room: int, pauses: bool) -> None:
        """`room`: instances that memory is there for; 0: any number."""
        self.total, self.warm, self.memory_mb = concurrency, warm, room * INSTANCE_MB
        self.maximum = maximum
        self.function = partial(
            function,
            concurrency=concurrency,
            maximum=maximum,
            idle_s=5.0,
            timeout_s=1e6,
            pause_after_s=1.0 if pauses else None,
        )
        self.functions = [self.function(name) for name in FUNCTIONS]
        self.versions = [each.versions[0].id for each in self.functions]
        """Where calls go: to the live ones."""
        self.start_pool()
        self.pool_learns()
        for seat in range(SEATS):
            self.talk(seat)

    def teardown(self) -> None:
        for router in self.routers:
            for call in router.calls:
                if call.waiter is not None and call.waiter.future.done():
                    call.waiter.future.cancelled() or call.waiter.future.exception()
        self.loop.run_until_complete(settle())
        self.patch.undo()
        self.loop.close()
        self.folder.cleanup()

    def at_pool(self, act: Callable[[], None]) -> None:
        """Something happens at the pool, and all that follows from it."""

        async def happens() -> None:
            act()
            await settle()

        self.driver.in_flight = dict(self.at_instances())
        self.loop.run_until_complete(happens())
        self.nothing_was_stopped_under_a_call()

    @rule(action=st.sampled_from(ACTIONS), seat=st.integers(0, SEATS - 1))
    def step(self, action: str, seat: int) -> None:
        getattr(self, action)(seat)

    # --- the pool's life

    def start_pool(self) -> None:
        self.rig = Rig(
            Path(self.folder.name), self.driver, routers=SEATS, warm=self.warm, memory_mb=self.memory_mb
        )
        self.rig.dispatcher.scaler.starts_are_held = True  # as the service does, until it has listed
        self.loop.run_until_complete(self.rig.open(self.patch))

    def pool_learns(self) -> None:
        if not self.rig.table.loaded:
            self.at_pool(lambda: self.rig.load(*self.functions))
        self.driver.in_flight = dict(self.at_instances())
        self.loop.run_until_complete(self.rig.list_machine())
        self.rig.dispatcher.scaler.starts_are_held = False

    def pool_is_killed(self, _: int) -> None:
        for router in self.routers:
            router.disconnect()
        self.start_pool()

    def pool_is_back_before_it_knows(self, _: int) -> None:
        """Routers are quicker than control and the driver."""
        self.pool_is_killed(0)
        for seat in range(SEATS):
            self.reconnect(seat)
            self.deliver_up(seat)

    def pool_hears_control_and_lists(self, _: int) -> None:
        self.pool_learns()

    def pool_tick(self, _: int) -> None:
        self.at_pool(self.rig.tick)
        self.at_pool(lambda: self.rig.refill(self.clock.now))

    # --- links

    def deliver_up(self, seat: int, messages: int = 1) -> None:
        router = self.routers[seat]
        for _ in range(min(messages, len(router.up))):
            message = router.up.popleft()
            if isinstance(message, Hello):
                self.rig.sent[router.name] = []
            self.at_pool(partial(self.rig.hear, router.name, message))

    def deliver_down(self, seat: int, messages: int = 1) -> None:
        router = self.routers[seat]
        down = self.rig.sent.get(router.name, [])
        for _ in range(min(messages, len(down))):
            router.hear(down.pop(0))

    def link_breaks(self, seat: int) -> None:
        self.cut(self.routers[seat])

    def cut(self, router: Router) -> None:
        router.disconnect()
        if self.rig.sent.pop(router.name, None) is not None:
            self.at_pool(lambda: self.rig.dispatcher.router_away(router.name))

    def reconnect(self, seat: int) -> None:
        router = self.routers[seat]
        if not router.connected:
            router.connect()

    def talk(self, seat: int) -> None:
        """As it is nearly always: what there is to say is said at once."""
        router = self.routers[seat]
        self.reconnect(seat)
        while router.up or self.rig.sent.get(router.name):
            self.deliver_up(seat, len(router.up))
            self.deliver_down(seat, 1000)

    def call_and_talk(self, seat: int) -> None:
        self.call(seat)
        self.talk(seat)

    def router_dies(self, seat: int) -> None:
        """Its calls go on in their instances until these have noticed."""
        router = self.routers[seat]
        for call in router.calls:
            if call.served is not None and not call.over:
                self.orphans[call.served.id] += 1
            call.over = True
        self.cut(router)
        self.routers[seat] = Router(f"r{next(self.names)}", self)

    def orphans_end(self, _: int) -> None:
        self.orphans.clear()

    # --- calls

    def call(self, seat: int, function: int = 0) -> None:
        router, version = self.routers[seat], self.versions[function]
        call = Call(router, version)
        call.instance = router.slots.take(version, self.clock.now)
        if call.instance is None:
            waiter = router.slots.wait(version, self.clock.now, self.loop.create_future)
            if isinstance(waiter, PlatError):
                assert waiter.code == "queue_full"
                return
            call.waiter = waiter
        router.calls.append(call)

    def call_the_other(self, seat: int) -> None:
        self.call(seat, 1)

    def first_call_ends(self, seat: int) -> None:
        if self.routers[seat].calls:
            self.end_call(self.routers[seat].calls[0])

    def last_call_ends(self, seat: int) -> None:
        if self.routers[seat].calls:
            self.end_call(self.routers[seat].calls[-1])

    def end_call(self, call: Call) -> None:
        instance, call.over = call.served, True
        call.router.calls.remove(call)
        if instance is not None:
            call.router.slots.release(instance, self.clock.now)
        elif call.waiter is not None:
            call.router.slots.leave(call.version, call.waiter, self.clock.now)

    def return_idle(self, seat: int) -> None:
        if self.routers[seat].connected:
            self.routers[seat].slots.return_idle(self.clock.now, lambda _: 0.0)

    # --- the machine

    def instance_dies(self, seat: int) -> None:
        if self.driver.running:
            instance = sorted(self.driver.running)[seat % len(self.driver.running)]
            del self.orphans[instance]
            self.at_pool(lambda: self.driver.end(instance))

    def warm_ones_are_of_no_use(self, _: int) -> None:
        self.driver.load_error = UselessError("it does not answer")

    def warm_ones_are_of_use(self, _: int) -> None:
        self.driver.load_error = None

    def a_handler_fails_once(self, seat: int) -> None:
        """In warm instances that are given a function now: whoever waits is told, if nothing else serves."""
        self.driver.load_error = PlatError("handler_import_failed", "No module named x.")
        self.call_and_talk(seat)
        self.driver.load_error = None

    def loading_takes_its_time(self, _: int) -> None:
        self.driver.hold_load = True

    def an_instance_says_that_it_is_ready(self, seat: int) -> None:
        """To a router that was promised slots of it."""
        slots = self.routers[seat].slots
        for instance in slots.instances():
            runs = instance.id in self.driver.running and instance.id not in self.driver.paused
            if instance.loading and runs:
                self.said.add(instance.id)
                slots.loaded(instance.id, self.clock.now)
                self.routers[seat].send(Loaded(instance.id))
                return

    def loading_ends(self, _: int) -> None:
        self.driver.hold_load = False
        for instance in self.driver.unloaded():
            self.at_pool(partial(self.driver.make_ready, instance))

    def loading_fails(self, _: int) -> None:
        error = PlatError("handler_import_failed", "No module named x.")
        for instance in self.driver.unloaded():
            if instance not in self.said:
                self.at_pool(partial(self.driver.fail_to_load, instance, error))

    def a_call_wakes_a_paused_one(self, seat: int) -> None:
        """If any is paused when nobody has called for a while; and the engine takes its time."""
        for number, router in enumerate(self.routers):
            self.talk(number)
            for call in [each for each in router.calls if not each.waits]:
                self.end_call(call)
            self.return_idle(number)
            self.talk(number)
        self.clock.now += 1.5
        self.pool_tick(0)
        self.driver.hold_resume = True
        self.call_and_talk(seat)

    def resuming_ends(self, _: int) -> None:
        self.driver.hold_resume = False
        self.at_pool(self.driver.end_resume)

    def resuming_fails(self, _: int) -> None:
        """The engine says so; it may run all the same, and have told a router that it does."""
        error = PlatError("engine_unavailable", "The engine is away.")
        self.at_pool(partial(self.driver.end_resume, error))

    def a_moment_passes(self, _: int) -> None:
        self.clock.now += GRACE_S / 10

    def time_passes(self, _: int) -> None:
        """A router that lives is never away for as long as the grace."""
        for seat, router in enumerate(self.routers):
            self.reconnect(seat)
            self.deliver_up(seat, len(router.up))
        self.clock.now += 2 * GRACE_S

    def function_stops_and_starts(self, _: int) -> None:
        """Every instance is drained; calls that wait are told."""
        if self.rig.table.loaded:
            for stopped in (True, False):
                entry = msgspec.structs.replace(self.functions[0], stopped=stopped)
                self.rig.table.put(entry)
                self.at_pool(partial(self.rig.dispatcher.function_put, entry))

    def a_new_version_goes_live(self, _: int) -> None:
        """What was sent to the old one goes on in it."""
        if self.rig.table.loaded:
            entry = self.function(FUNCTIONS[0], number=len(self.functions[0].versions) + 1)
            self.functions[0], self.versions[0] = entry, entry.versions[-1].id
            self.rig.table.put(entry)
            self.at_pool(partial(self.rig.dispatcher.function_put, entry))

    # --- what holds always

    def at_instances(self) -> Counter[str]:
        there = Counter(self.orphans)
        for router in self.routers:
            for call in router.calls:
                if call.served is not None and not call.over and call.served.id in self.driver.running:
                    there[call.served.id] += 1
        return there

    @invariant()
    def no_instance_has_too_many_calls(self) -> None:
        for instance, calls in self.at_instances().items():
            assert calls <= self.total, instance

    @invariant()
    def no_call_is_in_a_paused_instance(self) -> None:
        assert not self.driver.paused & {each for each, calls in self.at_instances().items() if calls}

    @invariant()
    def all_of_them_fit_into_memory(self) -> None:
        if self.memory_mb:
            assert len(self.driver.running) * INSTANCE_MB <= self.memory_mb

    @invariant()
    def no_version_has_more_instances_than_its_maximum(self) -> None:
        """Beside those that are on their way out, which get no new call.

        What a killed pool had sent away is back in use with the next one, which starts none while there are
        too many.
        """
        for version in self.versions:
            members = [each for each in self.rig.fleet.members(version) if each.state is not State.DRAINING]
            is_adopted = all(member.ready_at == float("-inf") for member in members)
            assert len(members) <= self.maximum or is_adopted, version

    @invariant()
    def no_warm_one_has_a_function(self) -> None:
        """Nor is it handed out again: a driver refuses that, and `placed` would have it twice."""
        assert len(self.driver.placed) == len(set(self.driver.placed))
        assert not self.rig.stock.ready() & set(self.driver.placed)

    def nothing_was_stopped_under_a_call(self) -> None:
        for instance, _ in self.driver.stopped[self.checked_stops :]:
            for router in self.routers:
                assert not [each for each in router.calls if each.served and each.served.id == instance]
            assert not self.orphans[instance]
        self.checked_stops = len(self.driver.stopped)

    def everything_is_said_and_done(self, _: int) -> None:
        """Whoever waits is served in turn; then every slot is held once, or home."""
        self.pool_learns()
        self.driver.load_error = None
        self.orphans.clear()
        self.loading_ends(0)
        self.resuming_ends(0)
        self.last_words_have_come()
        for _ in range(60):
            for seat, router in enumerate(self.routers):
                self.reconnect(seat)
                self.deliver_up(seat, len(router.up) or 1)
                self.deliver_down(seat, 1000)
                for call in [each for each in router.calls if not each.waits]:
                    self.end_call(call)
            self.clock.now += 0.5
            self.pool_tick(0)
            if self.quiet():
                break
        assert not [call for router in self.routers for call in router.calls]
        self.every_slot_is_somewhere_once()

    def last_words_have_come(self) -> None:
        """Of instances that died while they loaded: the pool waits for them by the real clock."""
        if any(member.died.done() for member in self.rig.fleet.members()):
            self.loop.run_until_complete(asyncio.sleep(1.5 * LAST_WORD_S))

    def quiet(self) -> bool:
        busy = any(router.up or router.calls or self.rig.sent[router.name] for router in self.routers)
        return not busy and not self.rig.ledger.with_away()

    def every_slot_is_somewhere_once(self) -> None:
        versions = [version.id for each in self.functions for version in each.versions]
        accounts = [account for each in versions for account in self.rig.ledger.of_version(each)]
        for account in accounts:
            held = {
                router.name: each.slots
                for router in self.routers
                for each in router.slots.held()
                if each.instance == account.instance
            }
            assert account.held == held
            assert sum(held.values()) <= self.total
        known = {account.instance for account in accounts}
        for router in self.routers:
            assert {each.instance for each in router.slots.held()} <= known


World.TestCase.settings = settings(max_examples=400, stateful_step_count=60, deadline=None)
TestWhole = World.TestCase
