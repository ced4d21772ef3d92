"""Every order of events at a ledger: routers together never hold more than there is, nothing is lost."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pool.ledger import UNKNOWN_ROUTER, Ledger

ROUTERS = ("r1", "r2", "r3")
INSTANCES = {"a": ("v", 1), "b": ("v", 4), "c": ("w", 2)}

instances = st.sampled_from(sorted(INSTANCES))
routers = st.sampled_from(ROUTERS)
versions = st.sampled_from(["v", "w"])
numbers = st.integers(1, 5)


class Slots(RuleBasedStateMachine):
    """The model: what each router really holds, as it would say in its Hello."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.now = 0.0
        self.holds: Counter[tuple[str, str]] = Counter()
        self.here: set[str] = set()
        self.lives: set[str] = set()
        self.draining: set[str] = set()

    @initialize()
    def begin(self) -> None:
        for router in ROUTERS:
            self.hello(router)

    # --- instances

    @rule(instance=instances)
    def open(self, instance: str) -> None:
        if instance not in self.lives:
            version, total = INSTANCES[instance]
            self.ledger.open(instance, version, total, self.now)
            self.lives.add(instance)

    @rule(instance=instances)
    def close(self, instance: str) -> None:
        """Every router hears of it, sooner or later; here at once."""
        self.ledger.close(instance)
        self.lives.discard(instance)
        self.draining.discard(instance)
        for router in ROUTERS:
            del self.holds[router, instance]

    @rule(instance=instances)
    def drain(self, instance: str) -> None:
        for asked in self.ledger.drain(instance):
            assert asked.slots == self.holds[asked.router, instance]
            assert asked.router in self.here
        if instance in self.lives:
            self.draining.add(instance)

    @rule(found=st.sets(instances), heard_before=st.sets(routers))
    def restart(self, found: set[str], heard_before: set[str]) -> None:
        """The pool is killed; a new one hears the routers and finds the instances in any order."""
        self.ledger = Ledger()
        self.draining.clear()
        self.here.clear()
        lost = self.lives - found
        for instance in lost:
            self.close(instance)
        for router in sorted(heard_before):
            self.hello(router)
        for instance in sorted(found & self.lives):
            version, total = INSTANCES[instance]
            self.ledger.adopt(instance, version, total, self.now)

    # --- routers

    @rule(router=routers)
    def hello(self, router: str) -> None:
        """Also twice, and also while the pool thinks it is here."""
        held = [(instance, slots) for (name, instance), slots in self.holds.items() if name == router]
        self.ledger.router_here(router, held)
        self.here.add(router)

    @rule(router=routers)
    def link_breaks(self, router: str) -> None:
        self.ledger.router_away(router)
        self.here.discard(router)

    @rule(router=routers)
    def router_dies(self, router: str) -> None:
        """Its slots are released when no call is in the instances."""
        self.link_breaks(router)
        for account in self.ledger.with_away():
            self.ledger.release(account.instance, [router])
        for instance in INSTANCES:
            del self.holds[router, instance]

    @rule()
    def all_have_spoken(self) -> None:
        for router in ROUTERS:
            self.hello(router)
        for instance in self.lives:
            self.ledger.release(instance, [UNKNOWN_ROUTER])

    # --- slots

    @rule(version=versions, router=routers, wanted=numbers)
    def grant(self, version: str, router: str, wanted: int) -> None:
        if router not in self.here:
            return
        granted = self.ledger.grant(version, router, wanted, self.now)
        assert sum(each.slots for each in granted) <= wanted
        for each in granted:
            assert each.slots > 0
            assert each.instance not in self.draining
            self.holds[router, each.instance] += each.slots

    @rule(router=routers, instance=instances, slots=numbers, idle_s=st.floats(0, 100))
    def returned(self, router: str, instance: str, slots: int, idle_s: float) -> None:
        slots = min(slots, self.holds[router, instance])
        if slots and router in self.here:
            self.ledger.returned(router, instance, slots, idle_s, self.now)
            self.holds[router, instance] -= slots

    @rule(version=versions, router=routers, wanted=numbers, keep=st.integers(0, 4))
    def reclaim(self, version: str, router: str, wanted: int, keep: int) -> None:
        before = {each: self.ledger.held_by(version, each) for each in ROUTERS}
        asked = self.ledger.reclaim(version, wanted, router, dict.fromkeys(ROUTERS, keep))
        assert sum(each.slots for each in asked) <= wanted
        for each in asked:
            assert each.router in self.here - {router}
            assert each.instance not in self.draining
            before[each.router] -= each.slots
            assert before[each.router] >= keep

    @rule(wanted=numbers, keep=st.integers(0, 4))
    def make_room(self, wanted: int, keep: int) -> None:
        places = [(router, version) for router in ROUTERS for version in ("v", "w")]
        before = {(router, version): self.ledger.held_by(version, router) for router, version in places}
        asked = self.ledger.make_room(["v", "w"], wanted, dict.fromkeys(places, keep), self.now)
        by_router: Counter[str] = Counter()
        for each in asked:
            assert each.router in self.here
            assert each.instance not in self.draining
            by_router[each.router] += each.slots
            place = each.router, INSTANCES[each.instance][0]
            before[place] -= each.slots
            assert before[place] >= keep
        assert all(slots <= wanted for slots in by_router.values())

    @rule(seconds=st.floats(0, 10))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    # --- what holds always

    @invariant()
    def never_more_than_there_is(self) -> None:
        for instance in self.lives:
            total = INSTANCES[instance][1]
            account = self.ledger.account(instance)
            assert account is not None
            assert sum(account.held.values()) <= total
            assert all(slots > 0 for slots in account.held.values())
            for router in ROUTERS:
                assert account.home(router) >= 0
                assert account.reclaimed.get(router, 0) <= account.held.get(router, 0)

    @invariant()
    def what_a_router_holds_is_never_home(self) -> None:
        """Its own account, or that of the unknown, has it."""
        for instance in self.lives:
            account = self.ledger.account(instance)
            assert account is not None
            for router in self.here:
                assert account.held.get(router, 0) == self.holds[router, instance]
            absent = sum(self.holds[router, instance] for router in set(ROUTERS) - self.here)
            others = sum(slots for router, slots in account.held.items() if router not in self.here)
            assert absent <= others

    @invariant()
    def nothing_is_held_by_nobody(self) -> None:
        for instance in self.lives:
            account = self.ledger.account(instance)
            assert account is not None
            if set(account.held) <= self.here:
                assert sum(account.held.values()) == sum(self.holds[router, instance] for router in ROUTERS)

    @invariant()
    def instances_are_known_by_both_indexes(self) -> None:
        for version in ("v", "w"):
            known = {account.instance for account in self.ledger.of_version(version)}
            assert known == {each for each in self.lives if INSTANCES[each][0] == version}


Slots.TestCase.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
TestLedger = Slots.TestCase
