"""Slots to routers, instances to needs: reacts to demand, returns, deaths and changes of the table.

Every change ends in `balance` of the version it touches: grant what is free, ask back what lies idle
elsewhere, start or stop what `scaling.decide` says. Synchronous throughout; the fleet does the waiting.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial

from plat.errors import PlatError
from plat.feed import (
    Demand,
    Faulted,
    FromRouter,
    FunctionEntry,
    Gone,
    Hello,
    Loaded,
    MemoryPressure,
    Returned,
    RouteDropped,
    RoutePut,
    Saturated,
    StartFailed,
    ToRouter,
    VersionEntry,
)
from plat.logs import get_logger
from pool.demand import Demands
from pool.drivers.base import Exited
from pool.fleet import Fleet
from pool.granting import Granting
from pool.launcher import LAST_WORD_S
from pool.ledger import Ledger
from pool.lifecycle import State
from pool.member import Member
from pool.promises import Promises
from pool.recovery import SlotRecovery
from pool.rounds import Rounds
from pool.scaler import Scaler
from pool.table import FunctionTable, is_live, route_of

log = get_logger(__name__)

DRAIN_MARGIN_S = 5.0
"""Beyond the function's timeout; then an instance is stopped with calls in flight."""


PRESSURE_INTERVAL_S = 0.1
"""Told again while memory is short: what was in use a moment ago may be idle now."""

WEIGHED_S = 0.002
"""So long after a grant comes what is not urgent: the system call that sends it is made in between."""

SATURATED_INTERVAL_S = 0.25
"""A quarter of what it holds for (`router.overload.SATURATED_S`)."""


class Dispatcher:
    """`send` takes a message for one router, by name, `send_table` a long one in parts.

    `routers`: those connected now.
    """

    def __init__(  # noqa: PLR0913 - the parts it puts together
        self,
        table: FunctionTable,
        fleet: Fleet,
        ledger: Ledger,
        *,
        send: Callable[[str, ToRouter], None],
        send_table: Callable[[str, Iterator[ToRouter]], None],
        routers: Callable[[], list[str]],
        expected_routers: int,
        memory_mb: int = 0,
        learned: bool = False,
    ) -> None:
        self._table = table
        self._fleet = fleet
        self._ledger = ledger
        self._demands = Demands()
        self._send = send
        self._send_table = send_table
        self._routers = routers
        self._expected_routers = expected_routers
        self._recovery = SlotRecovery(
            ledger, fleet, patience_s=_longest_call_s, freed=self._slots_home, overdue=self._give_up
        )
        self._saturated_told: dict[str, float] = {}
        self._pressure_told = float("-inf")
        self._to_balance: set[str] = set()
        """Versions whose calls have their slots; what else to do with them is decided in a moment."""
        self.scaler = Scaler(
            table, fleet, ledger, self._demands, memory_mb=memory_mb, learned=learned, drain=self._drain
        )
        self._rounds = Rounds(table, fleet, self._demands, self.scaler, self.balance)
        self._granting = Granting(fleet, ledger, self._demands, send, self.scaler.used, self._function_of)
        self._promises = Promises(ledger, self._demands, self._granting, send)
        fleet.observer = self

    # --- routers

    def received(self, router: str, message: FromRouter) -> None:
        now = time.monotonic()
        match message:
            case Demand(version, queued, _, grants_seen):
                self._demands.asked(version, router, queued, grants_seen)
                if queued:
                    self._announce(version)
                    self._serve_first(version)
                elif not self._demands.outstanding(version):
                    self.scaler.wants_nothing(version)
            case Loaded(instance, ago_s):
                self._fleet.serves(instance, now - ago_s)
            case Returned(instance, slots, idle_s):
                self._returned(router, instance, slots, idle_s, now)
            case Faulted(instance, reason):
                self._faulted(instance, reason)
            case Hello():
                self._hello(message)
            case _:
                raise AssertionError(f"unknown message {message!r}")

    def _announce(self, version_id: str) -> None:
        """A warm instance gets ready while it is being decided whether one is to be taken."""
        if not self._fleet.has_any(version_id) and (version := self._version(version_id)) is not None:
            self._fleet.announce(version)

    def router_away(self, router: str) -> None:
        self._ledger.router_away(router)
        self._demands.router_gone(router)
        self._recovery.away.left(router, time.monotonic())

    def _hello(self, message: Hello) -> None:
        """A pool that has just started says nothing of routes yet: the router goes on with what it has."""
        self._recovery.away.came(message.router)
        self._demands.router_here(message.router)
        self._ledger.router_here(message.router, [(each.instance, each.slots) for each in message.held])
        for each in message.held:  # promises are not told: of one that loads, it has heard that it is ready
            self._fleet.serves(each.instance, time.monotonic())
        if self._table.loaded:
            self._send_table(message.router, self._table.whole())
        self._granting.ask(self._ledger.draining(message.router))

    def _returned(self, router: str, instance: str, slots: int, idle_s: float, now: float) -> None:
        version = self._ledger.returned(router, instance, slots, idle_s, now)
        if version is None:
            return
        member = self._fleet.get(instance)
        if member is not None and member.state is State.DRAINING:
            self._stop_if_settled(member)
        self.scaler.stirred(version)
        if self.scaler.short:
            self._freed(version)
        elif self._granting.is_wanted(version):
            self._serve_first(version)

    def _faulted(self, instance: str, reason: str, *, is_last_word: bool = False) -> None:
        """A router cannot use the instance any more: a call that is stuck in it, or nothing listens."""
        member = self._fleet.get(instance)
        if member is None or not member.managed:
            return
        if member.state is State.LOADING and not is_last_word:
            # It was promised. That it is ready, or how it ended, is about to be told.
            again = partial(self._faulted, instance, reason, is_last_word=True)
            asyncio.get_running_loop().call_later(LAST_WORD_S, again)
            return
        log.warning("instance at fault", instance=instance, reason=reason, function=member.version.function)
        if member.state is State.LOADING:
            self._fleet.exited(Exited(instance, reason, "A router could not use it."))
            return
        if member.version.spec.concurrency == 1:
            self._stop_granting(member)
            self._fleet.stop(member, grace_s=0)
        else:
            self._drain(member)  # other calls may be in it, also in one that listens no more
        self.balance(member.version.id)

    # --- the table

    def table_replaced(self) -> None:
        for router in self._routers():
            self._send_table(router, self._table.whole())
        self.sweep()

    def routes_changed(self, names: Iterable[str]) -> None:
        """What exists by label only has come, changed or gone."""
        for name in names:
            function = self._table.function(name)
            self.broadcast(RouteDropped(name) if function is None else RoutePut(route_of(function)))
        self.sweep()

    def machine_listed(self) -> None:
        """What runs is known: a router that claims slots of something else has missed its end."""
        for router, instance in self._ledger.unfounded(lambda each: self._fleet.get(each) is not None):
            self._send(router, Gone(instance, "unknown", "It ended while the pool was away."))

    def function_put(self, function: FunctionEntry) -> None:
        self.broadcast(RoutePut(route_of(function)))
        if function.stopped:
            for member in self._of_function(function.name):
                self._drain(member)
        for member in self._of_function(function.name):
            if self._has_former_secrets(member):
                self._drain(member)
        for version_id in {member.version.id for member in self._of_function(function.name)}:
            self.balance(version_id)
        self._release_old(function)
        self.sweep_function(function)

    def _has_former_secrets(self, member: Member) -> bool:
        """A secret was changed since it was started: another takes its place."""
        known = self._table.version(member.version.id)
        return known is not None and known.secrets != member.version.secrets

    def function_dropped(self, name: str) -> None:
        self.broadcast(RouteDropped(name))
        self.scaler.forget(name)
        if (discovered := self._table.function(name)) is not None:
            self.broadcast(RoutePut(route_of(discovered)))
        error = PlatError("function_not_found", f'The function "{name}" was deleted.')
        for member in self._of_function(name):
            self._fail_waiters(member.version.id, error)
            self._drain(member)

    def _release_old(self, function: FunctionEntry) -> None:
        """A version that is not live any more goes as soon as nobody waits for it."""
        for member in self._of_function(function.name):
            version = member.version
            wanted = is_live(function, version) or self.scaler.on_trial(version.id)
            if not wanted and not self._demands.outstanding(version.id):
                self._drain(member)

    # --- the fleet's word

    def instance_loading(self, member: Member) -> None:
        self._promises.make(member)

    def load_failed(self, member: Member) -> None:
        self._promises.break_(member)

    def instance_resuming(self, member: Member) -> None:
        self._promises.make_of_paused(member)

    def instance_ready(self, member: Member) -> None:
        """Whoever waits has it at once; what else follows is weighed when the grant is on its way."""
        self.scaler.room.evictor.started(member.version.function, member.start_s)
        self._promises.keep(member)
        if self._has_former_secrets(member):
            self._drain(member)
        self._serve(member.version.id)
        asyncio.get_running_loop().call_later(WEIGHED_S, self._place_free, member.version.id)

    def _place_free(self, version_id: str) -> None:
        """An instance of the version has started: another can, of whoever has fewest."""
        self._balance_fairly({version_id, *self._demands.versions()})

    def instance_lost(self, member: Member) -> None:
        """It cannot be resumed: whoever waits for it gets another, or is told at once why not.

        A router may know better, and have a call in it: then that ends first.
        """
        self._drain(member)
        self._freed(member.version.id)

    def instance_gone(self, member: Member, exited: Exited) -> None:
        self.broadcast(Gone(exited.instance, exited.reason, exited.detail))
        self._freed(member.version.id)

    def start_failed(self, version: VersionEntry, error: PlatError) -> None:
        reason = f"a start failed: {error.detail}"
        self.scaler.decisions.note_event(version.function, version.number, reason, datetime.now(UTC))
        if not self._alive(version.id):
            self._fail_waiters(version.id, _unavailable(version, error))
        self.rebalance_waiting()

    # --- balance

    def balance(self, version_id: str) -> None:
        """Bring slots and instances of a version to where they are needed."""
        version = self._serve(version_id)
        if version is not None:
            self._scale(version, self._table.function(version.function))

    def _serve_first(self, version_id: str) -> None:
        """As `balance`. Slots on their way to all who wait are sent before the rest is decided."""
        version = self._serve(version_id)
        if version is None:
            return
        if self._demands.outstanding(version_id) > self._ledger.coming(version_id):
            self._scale(version, self._table.function(version.function))
            return
        if not self._to_balance:
            asyncio.get_running_loop().call_soon(self._balance_later)
        self._to_balance.add(version_id)

    def _balance_later(self) -> None:
        versions, self._to_balance = self._to_balance, set()
        self._balance_fairly(versions)

    def _serve(self, version_id: str) -> VersionEntry | None:
        """Bring the slots there are to where they are needed. None: there is no such version (any more)."""
        if not self._table.loaded or self._fleet.closing:
            return None
        version = self._version(version_id)
        if version_id not in self._table.versions and not self.scaler.on_trial(version_id):
            self._fail_waiters(version_id, PlatError("version_not_found", "This version was deleted."))
        if version is None:
            return None
        function = self._table.function(version.function)
        if function is not None and function.stopped:
            error = PlatError("function_stopped", f'The function "{function.name}" is stopped.')
            self._fail_waiters(version_id, error)
        self._granting.grant(version_id)
        self._granting.reclaim(version_id)
        return version

    def tick(self) -> Iterator[None]:
        """What time alone changes: idle instances, drains that take too long, routers that stay away.

        Where there is much to look at, others have their turn at each step: a call may wait for one.
        """
        now = time.monotonic()
        for member in self._fleet.members():
            if member.state is State.DRAINING:
                self._stop_if_settled(member)
                if now >= member.drain_by:
                    self._fleet.stop(member)
        yield from self._rounds.of_what_is_due(now)
        for function in self.scaler.due(now):
            self.sweep_function(function)
        told = self._saturated_told.items()
        self.scaler.decisions.settle()
        self._saturated_told = {each: at for each, at in told if now - at < SATURATED_INTERVAL_S}
        self._recovery.away.complete(len(self._routers()) >= self._expected_routers)
        self._recovery.look()

    def sweep(self) -> None:
        """Every version, at once."""
        for _ in self._rounds.of_all():
            continue

    def sweep_function(self, function: FunctionEntry) -> None:
        for version in function.versions:
            if version.number == function.live:
                self.balance(version.id)

    def rebalance_waiting(self) -> None:
        """Something that calls may wait for has come."""
        self._balance_fairly(self._demands.versions())

    def _freed(self, version_id: str) -> None:
        """A slot of the version, or its memory, is free for whoever needs it most."""
        self._balance_fairly([version_id, *(self.scaler.short - {version_id})])

    def _balance_fairly(self, versions: Iterable[str]) -> None:
        for version_id in self._rounds.fairly(versions):
            self.balance(version_id)

    def _scale(self, version: VersionEntry, function: FunctionEntry | None) -> None:
        now = time.monotonic()
        if version.spec.runtime == "image":
            return
        decision = self.scaler.scale(version, function)
        if decision.saturated:
            self._tell_saturated(version.id, now)
        if self.scaler.short:
            self._tell_pressure(now)
        if not self._alive(version.id) and (error := self._fleet.backoff.blocked(version.id, now)):
            self._fail_waiters(version.id, _unavailable(version, error))

    def _tell_pressure(self, now: float) -> None:
        """Idle slots are with routers for seconds, where others cannot have their memory."""
        if now - self._pressure_told >= PRESSURE_INTERVAL_S:
            self._pressure_told = now
            self.broadcast(MemoryPressure())

    def _tell_saturated(self, version_id: str, now: float) -> None:
        """Now and then is enough: the routers take it to hold for a while."""
        if now - self._saturated_told.get(version_id, float("-inf")) >= SATURATED_INTERVAL_S:
            self._saturated_told[version_id] = now
            for router in self._demands.of(version_id):
                self._send(router, Saturated(version_id))

    # --- steps

    def _drain(self, member: Member) -> None:
        if member.state not in (State.READY, State.PAUSED):
            return
        self._stop_granting(member)
        self._stop_if_settled(member)

    def _stop_granting(self, member: Member) -> None:
        self._fleet.drain(member, time.monotonic() + _longest_call_s(member))
        self._granting.ask(self._ledger.drain(member.id))

    def _stop_if_settled(self, member: Member) -> None:
        account = self._ledger.account(member.id)
        if account is None or account.settled:
            self._fleet.stop(member)

    def _slots_home(self, member: Member) -> None:
        if member.state is State.DRAINING:
            self._stop_if_settled(member)
        self.balance(member.version.id)

    def _give_up(self, member: Member) -> None:
        """Another takes its place."""
        self._drain(member)
        self.balance(member.version.id)

    def _fail_waiters(self, version_id: str, error: PlatError) -> None:
        for router in self._demands.of(version_id) | self._ledger.promised(version_id):
            self._send(router, StartFailed(version_id, error.code, error.detail, error.reason))
        self._demands.clear(version_id)

    def _alive(self, version_id: str) -> bool:
        return any(member.state is not State.DRAINING for member in self._fleet.members(version_id))

    def _function_of(self, version_id: str) -> FunctionEntry | None:
        version = self._table.version(version_id)
        return self._table.function(version.function) if version is not None else None

    def _version(self, version_id: str) -> VersionEntry | None:
        known = self._table.version(version_id) or self.scaler.on_trial(version_id)
        if known is not None:
            return known
        members = self._fleet.members(version_id)
        return members[0].version if members else None

    def _of_function(self, name: str) -> list[Member]:
        return [member for member in self._fleet.members() if member.version.function == name]

    def broadcast(self, message: ToRouter) -> None:
        """To every router that is connected."""
        for router in self._routers():
            self._send(router, message)


def _longest_call_s(member: Member) -> float:
    return member.version.spec.timeout_s + DRAIN_MARGIN_S


def _unavailable(version: VersionEntry, error: PlatError) -> PlatError:
    """A start that failed, as a waiting call is told it."""
    if error.code == "engine_unavailable":
        return error
    detail = f'No instance of "{version.function}" can be started. {error.detail}'
    return PlatError("instance_unavailable", detail, reason=error.reason or error.code)
