"""The link to the pool: sends demand and returns, applies routes, grants and deaths, reconnects for ever.

While the pool is away the router goes on with the routes and the slots it has.
"""

import asyncio
import random
from collections.abc import Callable, Iterator

from plat.address import Address
from plat.errors import PlatError
from plat.feed import (
    Demand,
    Faulted,
    FromRouter,
    Gone,
    Grant,
    Hello,
    KeyRequest,
    KeyVerdict,
    Lease,
    Leased,
    Loaded,
    MemoryPressure,
    Reclaim,
    RouteDropped,
    RoutePut,
    Routes,
    RoutesPart,
    Saturated,
    StartFailed,
    TokenDropped,
    TokenPut,
    TokensPart,
    TokensUsed,
    ToRouter,
    decode_to_router,
    encode,
)
from plat.idempotency import Renew
from plat.link import Link, connect
from plat.logs import get_logger
from router.access.identity import Identities
from router.routes import RouteTable
from router.slots import InstanceSlots, SlotTable, VersionSlots

log = get_logger(__name__)

DEMAND_INTERVAL_S = 0.005
"""A version's demand is sent at once, then at most this often: under load it changes with every call."""

CLOCK_STEP_S = 0.001
"""A loop's timers may come so much early: uvloop counts whole milliseconds."""

RECONNECT_S = (0.02, 0.5)
"""First and longest wait between attempts to reach the pool."""

LOADED_TOLD_S = 0.002
"""So long after an instance said that it is ready the pool is told: the call that waited comes first."""

PRESSURE_HOLD_S = 0.1
"""How long a slot must have been idle to go back when memory is short."""

_REMEMBERED_DEATHS = 1000


class PoolLink:
    """Keeps `slots`, `routes` and `identities` as the pool says. `run` until cancelled."""

    def __init__(
        self, router: str, address: Address, *, clock: Callable[[], float], queue_limit: int
    ) -> None:
        self.granted: Callable[[InstanceSlots, int], None] = _ignore
        """Told of each grant, after its slots are in the table; the instance may still be loading."""
        self.ended: Callable[[str], None] = _ignore_name
        """Told of each instance that is gone."""
        self.leased: Callable[[Leased], None] = _ignore_leases
        self.appeared: Callable[[str], None] = _ignore_name
        """Told of each function that was not there before."""
        self.was_leased: Callable[[], bool] = bool
        """Whether this router was ever leased tokens."""
        self.key_verdict: Callable[[KeyVerdict], None] = _ignore_verdict
        self.claims: Callable[[], list[Renew]] = list
        """The idempotency keys of calls in flight."""
        self.slots = SlotTable(self._send, self._demand_changed, queue_limit)
        self.routes = RouteTable()
        self.identities = Identities()
        self._router = router
        self._address = address
        self._clock = clock
        self._link: Link | None = None
        self._faults: list[Faulted] = []
        """Of which no pool has been told yet."""
        self._untold: dict[str, VersionSlots] = {}
        """Whose demand is sent at the end of this turn of the loop."""
        self._flush: asyncio.Handle | None = None
        self._told: dict[str, float] = {}
        """When demand was sent last, of those for whom that was just now; the longest ago comes first."""
        self._changed: dict[str, VersionSlots] = {}
        """Of these, those whose demand is another by now."""
        self._rest: asyncio.TimerHandle | None = None
        self._deaths: dict[str, Gone] = {}
        self._mourners: dict[str, list[asyncio.Future[Gone]]] = {}
        self._grants_seen = 0
        self.connected = False
        self.met = asyncio.Event()
        """Set once it has been connected."""

    # --- for calls

    async def obituary(self, instance: str, wait_s: float) -> Gone | None:
        """Why an instance died; None if the pool does not say in time (it may live). Cancellable."""
        if instance in self._deaths:
            return self._deaths[instance]
        future: asyncio.Future[Gone] = asyncio.get_running_loop().create_future()
        mourners = self._mourners.setdefault(instance, [])
        mourners.append(future)
        try:
            async with asyncio.timeout(wait_s):
                return await future
        except TimeoutError:
            return None
        finally:
            mourners.remove(future)
            if not mourners:
                self._mourners.pop(instance, None)

    def ask_for_leases(self, message: Lease) -> None:
        """The answer comes to `leased`, unless the link breaks first."""
        self._send(message)

    def ask_for_key(self, message: KeyRequest) -> None:
        """The answer comes to `key_verdict`, unless the link breaks first."""
        self._send(message)

    def loaded(self, instance: str) -> None:
        """An instance that was promised says that it is ready."""
        now = self._clock()
        self.slots.loaded(instance, now)

        def tell() -> None:
            self._send(Loaded(instance, self._clock() - now))

        asyncio.get_running_loop().call_later(LOADED_TOLD_S, tell)

    def return_idle(self, hold_s: Callable[[str], float]) -> None:
        """Slots unused for long go back, if there is somebody to take them."""
        if self.connected:
            self.slots.return_idle(self._clock(), hold_s)

    def report_used(self) -> None:
        """Tell which tokens were used since the last time. What is not told now is told the next time."""
        if self.connected and (used := self.identities.take_used()):
            self._send(TokensUsed(used))

    # --- the link

    async def run(self) -> None:
        wait_s = RECONNECT_S[0]
        while True:
            link = Link(self._hear)
            try:
                await connect(self._address, "/feed", link)
                self._connected(link)
                await link.closed.wait()
                wait_s = RECONNECT_S[0]
            except OSError as error:
                log.debug("pool is away", detail=str(error))
            finally:
                link.close()
                self._disconnected()
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311 - jitter, no secret
            wait_s = min(wait_s * 2, RECONNECT_S[1])

    def _connected(self, link: Link) -> None:
        """From here on every change is told."""
        self.slots.forget_debts()
        self.slots.forget_promises()
        self._grants_seen = 0
        self._link = link
        self.connected = True
        self.met.set()
        self._send(Hello(self._router, self.slots.held(), self.was_leased(), self.claims()))
        faults, self._faults = self._faults, []
        for fault in faults:
            self._send(fault)
        self._told.clear()
        self._changed.clear()
        for version in self.slots.versions():
            if version.waiting:
                self._demand_changed(version)

    def _disconnected(self) -> None:
        """What was not sent is told by the next Hello, but for instances that must not be used."""
        if self.connected:
            log.warning("the pool is away; going on with what is here", slots=len(self.slots.held()))
        self.connected = False
        self._link = None

    # --- out

    def _send(self, message: FromRouter) -> None:
        sent = self._link is not None and self._link.send(encode(message))
        if not sent and isinstance(message, Faulted):
            self._faults.append(message)

    def _demand_changed(self, version: VersionSlots) -> None:
        if version.id in self._told:
            self._changed[version.id] = version
            return
        self._untold[version.id] = version
        if self._flush is None and self.connected:
            self._flush = asyncio.get_running_loop().call_soon(self._flush_demand)

    def _flush_demand(self) -> None:
        self._flush = None
        now = asyncio.get_running_loop().time()
        untold, self._untold = self._untold, {}
        for version in untold.values():
            self._send(Demand(version.id, version.lacking, version.in_flight, self._grants_seen))
            self._told[version.id] = now
        self._rest_until_due()

    def _rest_until_due(self) -> None:
        if self._rest is None and self._told:
            due = next(iter(self._told.values())) + DEMAND_INTERVAL_S
            self._rest = asyncio.get_running_loop().call_at(due, self._rested)

    def _rested(self) -> None:
        self._rest = None
        now = asyncio.get_running_loop().time()
        for version_id, told_at in list(self._told.items()):
            if told_at + DEMAND_INTERVAL_S > now + CLOCK_STEP_S:
                break
            del self._told[version_id]
            if (version := self._changed.pop(version_id, None)) is not None:
                self._untold[version_id] = version
        self._flush_demand()

    # --- in

    def _hear(self, data: bytes) -> None:
        message = decode_to_router(data)
        self._apply(message)
        if isinstance(message, RoutesPart | TokensPart):
            is_end = isinstance(message, RoutesPart) and message.last
            self._give_turns(self.routes.end() if is_end else iter(()))

    def _give_turns(self, steps: Iterator[None]) -> None:
        """To calls, after each part of a long table: its messages may all be here already."""
        loop, link = asyncio.get_running_loop(), self._link
        assert link is not None, "it is what was heard"
        link.pause()

        def go_on() -> None:
            if not link.is_open:
                return
            try:
                is_over = next(steps, self) is self
            except Exception as error:  # else the link would pause for ever
                log.error("a table cannot be used; cutting the link", exc_info=error)
                link.cut()
                return
            if is_over:
                link.resume()
            else:
                loop.call_soon(go_on)

        loop.call_soon(go_on)

    def _apply(self, message: ToRouter) -> None:
        match message:
            case Grant() | Loaded() | Reclaim() | Gone():
                self._apply_to_instance(message)
            case Saturated(version):
                self.slots.saturated(version, self._clock())
            case MemoryPressure():
                self.slots.return_idle(self._clock(), lambda _: PRESSURE_HOLD_S)
            case StartFailed():
                error = PlatError(message.code, message.detail, reason=message.reason, retry_after_s=1)
                self.slots.fail_waiters(message.version, error)
            case Leased() | KeyVerdict():
                self._answered(message)
            case Routes() | RoutesPart() | RoutePut() | RouteDropped():
                self._apply_to_table(message)
            case TokensPart() | TokenPut() | TokenDropped():
                self._apply_to_tokens(message)
            case _:
                raise AssertionError(f"unknown message {message!r}")

    def _apply_to_instance(self, message: Grant | Loaded | Reclaim | Gone) -> None:
        match message:
            case Grant():
                self._grants_seen += 1
                self.granted(self.slots.grant(message, self._clock()), message.slots)
            case Loaded():
                self.slots.loaded(message.instance, self._clock())
            case Reclaim():
                self.slots.reclaim(message, self._clock())
            case Gone():
                self._buried(message)

    def _answered(self, message: Leased | KeyVerdict) -> None:
        if isinstance(message, Leased):
            self.leased(message)
        else:
            self.key_verdict(message)

    def _apply_to_table(self, message: Routes | RoutesPart | RoutePut | RouteDropped) -> None:
        match message:
            case Routes():
                self.identities.begin()
                self.routes.begin()
            case RoutesPart(routes):
                for route in routes:
                    self.routes.put(route)
            case RoutePut(route):
                if self.routes.loaded and route.name not in self.routes:
                    self.appeared(route.name)
                self.routes.put(route)
            case RouteDropped(name):
                self.routes.drop(name)

    def _apply_to_tokens(self, message: TokensPart | TokenPut | TokenDropped) -> None:
        match message:
            case TokensPart(tokens, last):
                for token in tokens:
                    self.identities.put(token)
                if last:
                    self.identities.end()
            case TokenPut(token):
                self.identities.put(token)
            case TokenDropped(identity):
                self.identities.drop(identity)

    def _buried(self, message: Gone) -> None:
        self._deaths[message.instance] = message
        while len(self._deaths) > _REMEMBERED_DEATHS:
            self._deaths.pop(next(iter(self._deaths)))
        for mourner in self._mourners.get(message.instance, ()):
            if not mourner.done():
                mourner.set_result(message)
        self.ended(message.instance)
        instance = self.slots.drop(message.instance)
        while instance is not None and instance.connections:
            instance.connections.pop().close()


def _ignore(instance: InstanceSlots, slots: int) -> None:
    """Nobody wants to know."""


def _ignore_leases(message: Leased) -> None:
    """Limits come from elsewhere."""


def _ignore_verdict(message: KeyVerdict) -> None:
    """Keys are elsewhere."""


def _ignore_name(name: str) -> None:
    """Nobody wants to know."""
