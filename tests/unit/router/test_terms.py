"""Terms that are kept from call to call: nobody can tell them from those that are looked up each time."""

from typing import NamedTuple

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st

from plat.errors import PlatError
from plat.feed import Route, RouteVersion
from plat.signing import Signing
from router.access.bearers import Bearers
from router.access.identity import Identity
from router.admission import Admission
from router.limits.buckets import LeasedBucket
from router.limits.limiter import Limiter
from router.routes import RouteTable
from router.target import Target, parse_target
from router.terms import Terms
from tests.unit.router.access.test_identity import entry, identities
from tests.unit.router.limits.lease_rig import START, Nobody, Routers

VERSIONS = (RouteVersion("v2", 2, 1, 30.0), RouteVersion("v1", 1, 1, 30.0))
TOKENS = ("a", "b", "child")


class Call(NamedTuple):
    authorization: str | None
    target: Target


class Put(NamedTuple):
    route: Route


class Drop(NamedTuple):
    pass


class Token(NamedTuple):
    """It is made or changed; without a scope, it goes."""

    name: str
    scope: str | None
    lives_s: float | None


class Time(NamedTuple):
    passes_s: float


class World:
    def __init__(self, *, keeps: bool) -> None:
        self._keeps = keeps
        self._known: dict[Call, Terms] = {}
        self._routers = Routers()
        self._limiter = self._routers.limiters[0]
        self._routes = RouteTable()
        self._routes.loaded = True
        self._identities = identities()
        self._admission = Admission(self._routes, self._identities, self._limiter, 1000)
        self._now = START
        self.used = 0

    def does(self, step: Call | Put | Drop | Token | Time) -> object:
        match step:
            case Call():
                return self._call(step)
            case Put(route):
                self._routes.put(route)
            case Drop():
                self._routes.drop("f")
            case Token(name, None, _):
                self._identities.drop(f"id-{name}")
            case Token(name, scope, lives_s):
                expires_at = None if lives_s is None else self._now + lives_s
                root = "id-a" if name == "child" else ""
                self._identities.put(entry(name, scope or "", expires_at=expires_at, root=root))
            case Time(passes_s):
                self._now += passes_s
                self._limiter.tick(self._now, self._routes.__contains__)
                self._routers.exchange(self._now)
        return None

    def _call(self, call: Call) -> object:
        """All that there is to see of it."""
        known = self._known.get(call)
        for attempt in range(3):
            admitted = self._admission.admit(call.target, call.authorization, self._now, attempt < 2, known)
            if not isinstance(admitted, LeasedBucket):
                break
            admitted.waiters.append(Nobody())
            self._routers.exchange(self._now)
        if isinstance(admitted, PlatError):
            return admitted.code, admitted.retry_after_s
        assert isinstance(admitted, tuple)
        terms, permit, lines = admitted
        if self._keeps:
            self.used += terms is known
            self._known[call] = terms
        who = None if terms.identity is None else (terms.identity.id, terms.identity.used_at)
        if permit is not None:
            permit.release(self._now)
        return terms.route, terms.version.id, who, permit is not None, lines


routes = st.builds(
    lambda auth, rate, token_rate, in_flight, live, stopped, cors: Route(
        "f",
        live,
        stopped,
        auth,
        60.0,
        rate,
        None,
        VERSIONS,
        token_rate=token_rate,
        token_max_in_flight=in_flight,
        cors=cors,
    ),
    st.sampled_from([*["token"] * 4, *["public"] * 2, "jwt", "signed"]),
    st.sampled_from([None, 3.0, 2000.0, 5000.0]),
    st.sampled_from([None, 3.0, 2000.0]),
    st.sampled_from([None, None, 4]),
    st.sampled_from([1, 2]),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([(), (), ("https://app.example",)]),
)
page = Target("f", "live", "/function/f", "/", has_origin=True)
targets = st.sampled_from([*map(parse_target, ["/function/f"] * 8), parse_target("/function/f:1"), page])
headers = st.sampled_from([*["Bearer a"] * 6, *(f"Bearer {name}" for name in TOKENS), None])
calls = st.builds(Call, headers, targets)
tokens = st.builds(
    Token,
    st.sampled_from(TOKENS),
    st.sampled_from(["admin", "admin", "invoke:f", "invoke:g", None]),
    st.sampled_from([None, 1.0]),
)
times = st.builds(Time, st.sampled_from([0.001, 0.01, 0.5, 3.0, 70.0]))
changes = st.one_of(st.builds(Put, routes), tokens, st.just(Drop()), times)
rounds = st.tuples(changes, st.lists(calls, min_size=3, max_size=12), times)
begin = st.tuples(st.builds(Put, routes), *(st.just(Token(name, "admin", None)) for name in TOKENS))


@settings(max_examples=300, deadline=None)
@given(begin, st.lists(rounds, min_size=1, max_size=8))
def test_terms_that_are_kept_are_those_that_would_be_found(
    first: tuple[Put | Token, ...], story: list[tuple[Put | Token | Drop | Time, list[Call], Time]]
) -> None:
    keeps, looks_up = World(keeps=True), World(keeps=False)
    for step in [*first, *(step for change, calls, time in story for step in (change, *calls, time))]:
        assert keeps.does(step) == looks_up.does(step)
    event(f"used again: {min(keeps.used // 5 * 5, 15)} times or more")


def admission(auth: str, bearers: Bearers | None = None) -> Admission:
    table = RouteTable()
    table.put(Route("f", 2, False, auth, 60.0, None, None, VERSIONS, signing=SIGNING))
    return Admission(table, identities(), Limiter(), 1000, bearers)


SIGNING = Signing("X-Signature", "sha256", (b"key",))
PLAIN = parse_target("/function/f")


def test_each_signature_is_of_one_call() -> None:
    asked = admission("signed")
    admitted = asked.admit(msgspec.structs.replace(PLAIN, signed=SIGNING), None, START)
    assert isinstance(admitted, tuple)
    again = asked.admit(PLAIN, None, START, known=admitted[0])
    assert isinstance(again, PlatError)


class Keys:
    """Of web tokens, which can go at any time."""

    epoch_s = 0.0

    def __init__(self) -> None:
        self.there = True

    def of(self, authorization: str | None, now: float) -> Identity | PlatError:
        return Identity("jwt:a", ("*",), float("inf")) if self.there else PlatError("unauthorized", "gone")

    async def refresh(self) -> None:
        """There are no newer ones."""


def test_a_web_token_is_verified_anew() -> None:
    keys = Keys()
    asked = admission("jwt", keys)
    admitted = asked.admit(PLAIN, "Bearer a", START)
    assert isinstance(admitted, tuple)
    keys.there = False
    again = asked.admit(PLAIN, "Bearer a", START, known=admitted[0])
    assert isinstance(again, PlatError)
