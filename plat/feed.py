"""The messages between services, as tagged msgspec structs in msgpack, one per WebSocket frame.

Three streams: control -> pool (tokens and functions), pool -> router (tokens, routes and slots), and
router -> pool (demand and returns; and which tokens were used, which the pool tells control). The first
two begin with the whole truth, as the third does with Hello, and go on with changes; after a reconnect
they begin again, so a lost message can never stay lost.

A table, of tokens or of functions, is told in parts of bounded size (`plat.parts`), with other messages in
between. Each part is the truth of the moment it is sent, and is merged into what the listener has: what is
in it is as it was or as it is, never absent. What no part and no change has told of when the last part is
there, is gone.
"""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from plat.idempotency import Renew, Request, Verdict
from plat.leasing import Answer, Ask
from plat.model import VersionSpec, Window
from plat.parts import in_parts
from plat.signing import Signing

UNLIMITED_SLOTS = 1_000_000
"""What a router is granted at an instance with `concurrency = 0`: more than it can ever use at once."""


class SecretValues(Struct, frozen=True, gc=False):
    """By the names that a version's spec has. No text that is made of it shows them."""

    by_name: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"SecretValues({', '.join(sorted(self.by_name))})"

    def hidden_in(self, text: str) -> str:
        """The text without them: a handler's error may repeat what it was given."""
        for name, value in sorted(self.by_name.items(), key=lambda each: -len(each[1])):
            if len(value) >= SHORTEST_HIDDEN:
                text = text.replace(value, f"[secret {name}]")
        return text


NO_SECRETS = SecretValues()
SHORTEST_HIDDEN = 4
"""Shorter ones are in any text."""


class VersionEntry(Struct, frozen=True, gc=False):
    """One deployable version. `id` is unique for ever, also when a deleted function's name comes back."""

    id: str
    function: str
    number: int
    digest: str
    spec: VersionSpec
    secrets: SecretValues = NO_SECRETS


class FunctionEntry(Struct, frozen=True, gc=False):
    """What the pool needs to know of a function."""

    name: str
    live: int | None
    stopped: bool
    auth: str
    """As in plat.toml, or `signed`: then calls without a good signature go no further, whoever hears this."""
    min: int
    max: int
    idle_s: float
    rate: float | None
    burst: int | None
    versions: tuple[VersionEntry, ...]
    pause_after_s: float | None = None
    windows: tuple[Window, ...] = ()
    max_in_flight: int | None = None
    token_rate: float | None = None
    token_burst: int | None = None
    token_max_in_flight: int | None = None
    limit_fail: str = "open"
    cors: tuple[str, ...] = ()
    signing: Signing | None = None

    @property
    def weight(self) -> int:
        """About its bytes on the wire."""
        versions = (
            300 + _length(version.spec.env) + _length(version.secrets.by_name) for version in self.versions
        )
        return 200 + sum(map(len, self.cors)) + sum(versions)


def _length(env: dict[str, str]) -> int:
    return sum(len(name) + len(value) for name, value in env.items())


# --- control -> pool -> router: tokens


class TokenEntry(Struct, frozen=True, gc=False):
    """What a router needs to know of a token, which is not the token."""

    id: str
    digest: str
    """The token's SHA-256, 64 hexadecimal digits."""
    scopes: tuple[str, ...]
    expires_at: float | None = None
    """Seconds since 1970."""
    root: str = ""
    """The id of the token whose limits it shares: the first of those it was made with; empty: its own."""

    @property
    def weight(self) -> int:
        """About its bytes on the wire."""
        return 120 + len(self.root) + sum(map(len, self.scopes))


class TokensPart(Struct, frozen=True, tag="tokens_part"):
    tokens: list[TokenEntry]
    last: bool = False


class TokenPut(Struct, frozen=True, tag="token_put"):
    token: TokenEntry


class TokenDropped(Struct, frozen=True, tag="token_dropped"):
    """From now on nobody may call with it."""

    id: str


def tokens_in_parts(tokens: Iterable[TokenEntry]) -> Iterator[TokensPart]:
    for part in in_parts(tokens, lambda each: each.weight):
        yield TokensPart(part)


# --- control -> pool


class Table(Struct, frozen=True, tag="table"):
    """All tokens follow, then all functions, both in parts."""


class TablePart(Struct, frozen=True, tag="table_part"):
    functions: list[FunctionEntry]
    last: bool = False


class FunctionPut(Struct, frozen=True, tag="function_put"):
    function: FunctionEntry


class FunctionDropped(Struct, frozen=True, tag="function_dropped"):
    name: str


FromControl = Table | TokensPart | TokenPut | TokenDropped | TablePart | FunctionPut | FunctionDropped


# --- pool -> router


class RouteVersion(Struct, frozen=True, gc=False):
    id: str
    number: int
    concurrency: int
    timeout_s: float


class Route(Struct, frozen=True, gc=False, omit_defaults=True):
    """What a router needs to know of a function. Nothing in it is the garbage collector's business."""

    name: str
    live: int | None
    stopped: bool
    auth: str
    idle_s: float
    rate: float | None
    burst: int | None
    versions: tuple[RouteVersion, ...]
    """The live one first: it is the one that is looked for."""
    token_rate: float | None = None
    token_burst: int | None = None
    token_max_in_flight: int | None = None
    limit_fail: str = "open"
    cors: tuple[str, ...] = ()
    """Patterns of origins (`plat.origins`) whose pages may call; none: the function says itself who may."""
    signing: Signing | None = None

    @property
    def weight(self) -> int:
        """About its bytes on the wire."""
        return 100 + 40 * len(self.versions) + sum(map(len, self.cors))


class Routes(Struct, frozen=True, tag="routes"):
    """All tokens follow, then all routes, both in parts, as soon as the pool has them."""


class RoutesPart(Struct, frozen=True, tag="routes_part"):
    routes: list[Route]
    last: bool = False


class RoutePut(Struct, frozen=True, tag="route_put"):
    route: Route


class RouteDropped(Struct, frozen=True, tag="route_dropped"):
    name: str


class Grant(Struct, frozen=True, tag="grant"):
    """`slots` more slots at an instance are the router's to use.

    `loading`: as soon as it has loaded its function. It says so itself, by its answer to a health check,
    and the pool does by `Loaded`, or by `Gone`.
    """

    instance: str
    version: str
    address: str
    slots: int
    loading: bool = False


class Loaded(Struct, frozen=True, tag="loaded"):
    """An instance that was granted while it loaded is ready: told by the pool, and to the pool by routers."""

    instance: str
    ago_s: float = 0.0
    """So long ago it said so."""


class Reclaim(Struct, frozen=True, tag="reclaim"):
    """Give back `slots` slots: idle ones at once, the rest as their calls end."""

    instance: str
    slots: int


class Gone(Struct, frozen=True, tag="gone"):
    """The instance has ended. `reason` is a word (`out_of_memory`, `exited`, …), `detail` a sentence."""

    instance: str
    reason: str
    detail: str


class StartFailed(Struct, frozen=True, tag="start_failed"):
    """No instance of the version can be started now: fail whoever waits with this error."""

    version: str
    code: str
    detail: str
    reason: str | None = None


class Saturated(Struct, frozen=True, tag="saturated"):
    """Calls wait, and there will be no more instances of the version for now: it has its maximum."""

    version: str


class MemoryPressure(Struct, frozen=True, tag="memory_pressure"):
    """Calls wait for memory that idle instances have: slots that are not in use should come home at once."""


class Leased(Struct, frozen=True, tag="leased"):
    """An answer to each ask of the `Lease` with this number."""

    number: int
    answers: list[Answer]


class KeyVerdict(Struct, frozen=True, tag="key_verdict"):
    """The answer to the `KeyRequest` with this number."""

    number: int
    verdict: Verdict


ToRouter = (
    MemoryPressure
    | Loaded
    | Leased
    | KeyVerdict
    | Saturated
    | Routes
    | TokensPart
    | TokenPut
    | TokenDropped
    | RoutesPart
    | RoutePut
    | RouteDropped
    | Grant
    | Reclaim
    | Gone
    | StartFailed
)


def whole_table(tokens: Iterable[TokenEntry], routes: Iterable[Route]) -> Iterator[ToRouter]:
    """Message by message; neither is looked at before the part it is in is taken."""
    yield Routes()
    yield from tokens_in_parts(tokens)
    yield TokensPart([], last=True)
    for part in in_parts(routes, lambda each: each.weight):
        yield RoutesPart(part)
    yield RoutesPart([], last=True)


# --- router -> pool


class Held(Struct, frozen=True):
    instance: str
    slots: int


class Hello(Struct, frozen=True, tag="hello"):
    """The first message: who I am, and the slots I hold, so that a restarted pool can count them."""

    router: str
    held: list[Held]
    leased: bool = False
    """Whether it was ever leased tokens of a limit: a pool that has just started knows nothing of them."""
    claims: list[Renew] = []
    """The idempotency keys of its calls in flight, for the same reason."""


class Demand(Struct, frozen=True, tag="demand"):
    """Calls of a version that wait for a slot, and calls in flight; `queued` = 0 takes it back."""

    version: str
    queued: int
    in_flight: int
    grants_seen: int
    """`Grant` messages received over this connection so far: those still under way are not in `queued`."""


class Returned(Struct, frozen=True, tag="returned"):
    """Slots given back, unused for the last `idle_s` seconds."""

    instance: str
    slots: int
    idle_s: float


class Faulted(Struct, frozen=True, tag="faulted"):
    """A call at the instance went wrong so that the instance must not be used again.

    `reason`: `timeout` (a call still runs there) or `unreachable` (no connection could be made).
    The slot of that call is not returned.
    """

    instance: str
    reason: str


class Lease(Struct, frozen=True, tag="lease"):
    """What the router says and wants of some limits (`plat.leasing`). `number` grows with each."""

    number: int
    asks: list[Ask]


class KeyRequest(Struct, frozen=True, tag="key_request"):
    """What the router says and wants of an idempotency key (`plat.idempotency`)."""

    number: int
    request: Request


class TokensUsed(Struct, frozen=True, tag="tokens_used"):
    """When each token was used last, by its id, in seconds since 1970; told now and then."""

    at: dict[str, float]


FromRouter = Hello | Demand | Loaded | Returned | Faulted | TokensUsed | Lease | KeyRequest

_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
decode_from_control = msgspec.msgpack.Decoder(FromControl).decode
decode_to_router = msgspec.msgpack.Decoder(ToRouter).decode
decode_from_router = msgspec.msgpack.Decoder(FromRouter).decode
decode_from_pool = msgspec.msgpack.Decoder(TokensUsed).decode
"""What control hears: nothing else."""
