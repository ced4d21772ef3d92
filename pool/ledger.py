"""Where every slot of every instance is: at home, or held by a router (DESIGN 4). Decides only.

The invariant: for each instance, home + held = total, and nothing is below zero. Slots of a router
that is away (dead, or not yet heard of after the pool's restart) stay held until `release`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from plat.feed import UNLIMITED_SLOTS

UNKNOWN_ROUTER = "?"
"""Holds the slots of an adopted instance until the routers have said what they hold."""


IDLE_COME_S = 0.2
"""Idle slots that were asked back have come after this; those of calls come when these have ended."""


class Allotment(NamedTuple):
    """`slots` at an instance, for or from a router."""

    router: str
    instance: str
    slots: int
    woken: bool = False
    """No call could be in the instance before."""
    idle_since: float | None = None
    """Of one that was woken: when it was last used; None: never."""


class Account:
    """The slots of one instance."""

    __slots__ = (
        "asked_at",
        "granting",
        "held",
        "instance",
        "last_used",
        "loading",
        "reclaimed",
        "total",
        "used",
        "version",
    )

    def __init__(self, instance: str, version: str, total: int, now: float, *, loading: bool = False) -> None:
        self.instance = instance
        self.version = version
        self.total = total
        """0: unlimited. Each router may then hold UNLIMITED_SLOTS."""
        self.held: dict[str, int] = {}
        self.reclaimed: dict[str, int] = {}
        """Part of `held` that was asked back and has not come."""
        self.asked_at = now
        """When some of it was asked back last to make room."""
        self.granting = True
        self.loading = loading
        """Its slots are promised only: none is asked back before it is ready."""
        self.last_used = now
        self.used = False
        """Whether a router has held a slot of it."""

    def home(self, router: str) -> int:
        """Slots that can be granted to the router now."""
        if not self.granting:
            return 0
        if self.total == 0:
            return UNLIMITED_SLOTS - self.held.get(router, 0)
        return self.total - sum(self.held.values())

    @property
    def settled(self) -> bool:
        """All slots are home: no call can be in the instance, and none can get there."""
        return not self.held


class Ledger:
    """The accounts of all instances, by instance and by version."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._versions: dict[str, dict[str, Account]] = {}
        self._away: set[str] = {UNKNOWN_ROUTER}
        self._claims: dict[str, dict[str, int]] = {}
        """By router: slots it says it holds of instances that are not (yet) known here."""

    # --- instances

    def open(self, instance: str, version: str, total: int, now: float, *, loading: bool = False) -> None:
        """A new instance: all slots are home."""
        account = Account(instance, version, total, now, loading=loading)
        self._accounts[instance] = account
        self._versions.setdefault(version, {})[instance] = account

    def adopt(self, instance: str, version: str, total: int, now: float) -> None:
        """An instance from before our time: who holds its slots is known only of those who said so."""
        self.open(instance, version, total, now)
        self._accounts[instance].used = True
        held = self._accounts[instance].held
        held[UNKNOWN_ROUTER] = total or UNLIMITED_SLOTS
        for router, claims in self._claims.items():
            if slots := claims.pop(instance, 0):
                _lower(held, UNKNOWN_ROUTER, slots)
                held[router] = slots

    def loaded(self, instance: str, now: float) -> list[str]:
        """It is ready, and idle from now on at the earliest. Returns the routers that have slots of it."""
        account = self._accounts[instance]
        if not account.loading:
            return []
        account.loading = False
        account.last_used = now
        return list(account.held)

    def promised(self, version: str) -> dict[str, int]:
        """Slots of instances of the version that are still loading, by the router that holds them."""
        promised: dict[str, int] = {}
        for account in self.of_version(version):
            if account.loading:
                for router, slots in account.held.items():
                    promised[router] = promised.get(router, 0) + slots
        return promised

    def close(self, instance: str) -> None:
        """The instance is gone, and its slots with it."""
        account = self._accounts.pop(instance, None)
        if account is not None:
            accounts = self._versions[account.version]
            del accounts[instance]
            if not accounts:
                del self._versions[account.version]

    def account(self, instance: str) -> Account | None:
        return self._accounts.get(instance)

    def of_version(self, version: str) -> Iterable[Account]:
        return self._versions.get(version, {}).values()

    def has_any(self, version: str) -> bool:
        return version in self._versions

    # --- slots

    def grant(
        self, version: str, router: str, wanted: int, now: float, room: int | None = None
    ) -> list[Allotment]:
        """Up to `wanted` slots from home to the router, of the instances used last.

        `room`: how many more slots of the function routers may hold; None: any number.
        """
        granted = []
        if room is not None:
            wanted = min(wanted, room)
        for account in sorted(self.of_version(version), key=lambda each: each.last_used, reverse=True):
            if wanted <= 0:
                break
            free = account.home(router)
            slots = free if account.total == 0 and room is None else min(free, wanted)
            if slots > 0:
                woken, idle_since = account.settled, account.last_used if account.used else None
                account.held[router] = account.held.get(router, 0) + slots
                account.last_used, account.used = now, True
                granted.append(
                    Allotment(router, account.instance, slots, woken, idle_since if woken else None)
                )
                wanted -= slots
        return granted

    def returned(self, router: str, instance: str, slots: int, idle_s: float, now: float) -> str | None:
        """Slots come home; the version they are of, or None if the instance is gone."""
        account = self._accounts.get(instance)
        if account is None:
            _lower(self._claims.get(router, {}), instance, slots)
            return None
        _lower(account.held, router, slots)
        _lower(account.reclaimed, router, slots)
        account.last_used = max(account.last_used, now - idle_s)
        return account.version

    def reclaim(self, version: str, wanted: int, router: str, keep: Mapping[str, int]) -> list[Allotment]:
        """Whom to ask for up to `wanted` slots for `router`; `keep`: what each holder may keep."""
        asked: list[Allotment] = []
        for holder in sorted(self._holders(version) - {router} - self._away):
            spare = self.held_by(version, holder) - keep.get(holder, 0)
            accounts = [account for account in self.of_version(version) if account.total]
            given = _ask_back(accounts, holder, min(wanted, spare))
            asked += given
            wanted -= sum(each.slots for each in given)
        return asked

    def make_room(
        self, versions: Iterable[str], wanted: int, keep: Mapping[tuple[str, str], int], now: float
    ) -> list[Allotment]:
        """Whom to ask for slots of versions that share a limit; `keep`: by holder and version, else nothing.

        Which slots are idle is not known here. So every holder is asked for up to `wanted`, and, if nothing
        comes at once, for others: those were idle nowhere. What comes beyond the need is home again.
        """
        asked: list[Allotment] = []
        accounts = {version: list(self.of_version(version)) for version in versions}
        every = [account for each in accounts.values() for account in each]
        for holder in sorted({router for account in every for router in account.held} - self._away):
            late = now - IDLE_COME_S
            most = wanted - sum(each.reclaimed.get(holder, 0) for each in every if each.asked_at > late)
            for version, those in accounts.items():
                spare = self.held_by(version, holder) - keep.get((holder, version), 0)
                given = _ask_back(those, holder, min(most, spare))
                asked += given
                most -= sum(each.slots for each in given)
        for each in asked:
            self._accounts[each.instance].asked_at = now
        return asked

    def pause(self, instance: str) -> None:
        """All its slots are home: grant none until `resume`."""
        account = self._accounts[instance]
        assert account.settled, "paused under a router that may use it"
        account.granting = False

    def resume(self, instance: str) -> None:
        self._accounts[instance].granting = True

    def promise(self, instance: str) -> None:
        """It is being resumed: its slots can be granted now, and used when it is ready."""
        account = self._accounts[instance]
        account.granting = account.loading = True

    def coming(self, version: str) -> int:
        """Slots that were asked back and have not come, of instances that can grant them again."""
        return sum(sum(each.reclaimed.values()) for each in self.of_version(version) if each.granting)

    def drain(self, instance: str) -> list[Allotment]:
        """Grant no more, and ask every router for all it holds, promised or not."""
        account = self._accounts.get(instance)
        if account is None:
            return []
        account.granting = account.loading = False
        asked = []
        for router, slots in account.held.items():
            if router not in self._away:
                account.reclaimed[router] = slots
                asked.append(Allotment(router, instance, slots))
        return asked

    def draining(self, router: str) -> list[Allotment]:
        """What a router that is back must be asked for again: all it holds of drained instances."""
        asked = []
        for account in self._accounts.values():
            slots = account.held.get(router, 0)
            if slots and not account.granting:
                account.reclaimed[router] = slots
                asked.append(Allotment(router, account.instance, slots))
        return asked

    def held(self, version: str) -> int:
        """Slots of the version that are not at home: so many calls may be in flight."""
        return sum(sum(account.held.values()) for account in self.of_version(version))

    def held_by(self, version: str, router: str) -> int:
        """Slots of the version that the router holds and was not asked back."""
        return sum(
            account.held.get(router, 0) - account.reclaimed.get(router, 0)
            for account in self.of_version(version)
        )

    def total(self, version: str) -> int:
        return sum(account.total for account in self.of_version(version) if account.granting)

    def _holders(self, version: str) -> set[str]:
        return {router for account in self.of_version(version) for router in account.held}

    # --- routers

    def router_here(self, router: str, held: Iterable[tuple[str, int]]) -> None:
        """A router says what it holds; that is the truth. Of instances unknown here it is a claim."""
        self._away.discard(router)
        claims = self._claims[router] = dict(held)
        for account in self._accounts.values():
            known = account.held.pop(router, 0)
            account.reclaimed.pop(router, None)
            if slots := claims.pop(account.instance, 0):
                # What it had told before is not among the unknown any more.
                _lower(account.held, UNKNOWN_ROUTER, max(0, slots - known))
                account.held[router] = slots

    def unfounded(self, exists: Callable[[str], bool]) -> list[tuple[str, str]]:
        """Router and instance of each claim to an instance that does not exist; they are dropped."""
        unfounded = [
            (router, instance)
            for router, claims in self._claims.items()
            for instance in claims
            if not exists(instance)
        ]
        for router, instance in unfounded:
            del self._claims[router][instance]
        return unfounded

    def router_away(self, router: str) -> None:
        """The link to a router broke. Its slots stay where they are until `release_away`."""
        self._away.add(router)

    def with_away(self) -> list[Account]:
        """Accounts some of whose slots are held by routers that are away."""
        return [account for account in self._accounts.values() if not self._away.isdisjoint(account.held)]

    def release(self, instance: str, routers: Iterable[str]) -> None:
        """What these routers, which are away, held of the instance is home."""
        account = self._accounts.get(instance)
        if account is not None:
            for router in self._away.intersection(routers):
                account.held.pop(router, None)
                account.reclaimed.pop(router, None)


def _ask_back(accounts: Iterable[Account], holder: str, slots: int) -> list[Allotment]:
    """Note that the holder is asked for so many slots at most of these, and say which."""
    asked = []
    for account in accounts:
        wanted = min(slots, account.held.get(holder, 0) - account.reclaimed.get(holder, 0))
        if wanted > 0 and account.granting and not account.loading:
            account.reclaimed[holder] = account.reclaimed.get(holder, 0) + wanted
            asked.append(Allotment(holder, account.instance, wanted))
            slots -= wanted
    return asked


def _lower(counts: dict[str, int], key: str, by: int) -> None:
    left = counts.get(key, 0) - by
    if left > 0:
        counts[key] = left
    else:
        counts.pop(key, None)
