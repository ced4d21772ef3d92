"""The shared words as msgspec types: function spec, version, instance, and the API's answers.

Types and their bounds only: no I/O, no rules that need a second object.
"""

import re
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from plat import origins
from plat.cron import fault_of
from plat.signing import Algorithm, header_fault

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$(?!\n)"
"""A function's name is a DNS label (RFC 1123), so that it can become a sub-domain.

`$` alone would let a line break follow, here and below.
"""

ENV_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$(?!\n)"

HANDLER_PATTERN = r"^[A-Za-z_][A-Za-z0-9_./-]*\.[A-Za-z_][A-Za-z0-9_]*$(?!\n)"

_CRON_FIELD = r"[0-9A-Za-z*,/#-]+"
CRON_PATTERN = rf"^{_CRON_FIELD}([ \t]+{_CRON_FIELD}){{4}}$(?!\n)"
"""The form only; what each field may hold is `plat.cron`'s to say."""

FunctionName = Annotated[
    str,
    Meta(pattern=NAME_PATTERN, description="lower-case letters, digits and inner hyphens, 1 to 63 of them"),
]
VersionNumber = Annotated[int, Meta(ge=1, le=2**31 - 1)]
EnvName = Annotated[
    str,
    Meta(
        pattern=ENV_NAME_PATTERN,
        description="letters, digits and underscores, not a digit first, at most 128 of them",
    ),
]
EnvValue = Annotated[
    str,
    Meta(
        max_length=32_768, pattern=r"^[^\x00]*$", description="text of at most 32768 characters, without NUL"
    ),
]
Handler = Annotated[
    str,
    Meta(
        pattern=HANDLER_PATTERN,
        max_length=256,
        description="the module and the function in it, as in main.handler or lib/api.app",
    ),
]

SECRET_NAME_PATTERN = r"^(?!PLAT_)[A-Za-z_][A-Za-z0-9_]{0,127}$(?!\n)"  # noqa: S105 - a pattern of names
SecretName = Annotated[
    str,
    Meta(
        pattern=SECRET_NAME_PATTERN,
        description="letters, digits and underscores, not a digit or PLAT_ first, at most 128 of them",
    ),
]

Runtime = Literal["python", "node"]
VersionState = Literal["building", "ready", "failed"]

SIGNING_SECRETS = 2
"""One is good while the other takes its place."""

_NAME = re.compile(NAME_PATTERN)
_SECRET_NAME = re.compile(SECRET_NAME_PATTERN)


def is_function_name(text: str) -> bool:
    return _NAME.match(text) is not None


class Window(Struct, frozen=True, forbid_unknown_fields=True):
    """A minimum for some minutes: those that `cron` matches, in the local time of the pool's machine."""

    cron: Annotated[
        str,
        Meta(
            pattern=CRON_PATTERN,
            max_length=200,
            description="five fields, as in crontab(5): * 8-17 * * mon-fri",
        ),
    ]
    min: Annotated[int, Meta(ge=0, le=1000, description="instances kept when idle")]

    def __post_init__(self) -> None:
        if (fault := fault_of(self.cron)) is not None:
            raise ValueError(f'cron = "{self.cron}": {fault}')


class Scale(Struct, frozen=True, forbid_unknown_fields=True):
    """How many instances, and how many calls each takes at a time."""

    concurrency: Annotated[int, Meta(ge=0, le=1000, description="calls at a time; 0: unlimited")] = 1
    min: Annotated[int, Meta(ge=0, le=1000, description="instances kept when idle")] = 0
    max: Annotated[int, Meta(ge=1, le=1000, description="instances of a version at most")] = 20
    idle_s: Annotated[float, Meta(ge=0.1, le=86_400, description="seconds without a call until stopped")] = 60
    pause_after_s: Annotated[
        float,
        Meta(ge=0.1, le=86_400, description="seconds without a call until paused; from idle_s on: never"),
    ] = 30
    window: Annotated[list[Window], Meta(max_length=100)] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.min > self.max:
            raise ValueError(f"min = {self.min}: expected at most max, which is {self.max}")
        for number, window in enumerate(self.window):
            if window.min > self.max:
                raise ValueError(
                    f"window[{number}].min = {window.min}: expected at most max, which is {self.max}"
                )


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """What one call and one instance may use."""

    timeout_s: Annotated[float, Meta(ge=0.1, le=3600)] = 30
    memory_mb: Annotated[int, Meta(ge=16, le=1_048_576)] = 128
    cpu: Annotated[float, Meta(ge=0.01, le=1024, description="processors")] = 1.0
    rate: Annotated[float, Meta(gt=0, le=1e9, description="calls a second")] | None = None
    burst: (
        Annotated[int, Meta(ge=1, le=10**9, description="calls at once; default: one second of rate")] | None
    ) = None

    max_in_flight: Annotated[int, Meta(ge=1, le=10**6, description="calls at a time; others wait")] | None = (
        None
    )
    token_rate: (
        Annotated[float, Meta(gt=0, le=1e9, description="calls a second of each token or user")] | None
    ) = None
    token_burst: (
        Annotated[int, Meta(ge=1, le=10**9, description="calls at once of each; default: one second")] | None
    ) = None
    token_max_in_flight: (
        Annotated[int, Meta(ge=1, le=10**6, description="calls at a time of each token or user")] | None
    ) = None
    limit_fail: Literal["open", "closed"] = "open"

    def __post_init__(self) -> None:
        if self.burst is not None and self.rate is None:
            raise ValueError(f"burst = {self.burst}: it needs rate, which is not set")
        if self.token_burst is not None and self.token_rate is None:
            raise ValueError(f"token_burst = {self.token_burst}: it needs token_rate, which is not set")


class Hmac(Struct, frozen=True, forbid_unknown_fields=True):
    """What proves that a call comes from whoever has the secret: a signature of its body."""

    header: Annotated[str, Meta(max_length=128, description="the name of the header with the signature")]
    # Not a `SecretName`: msgspec 0.22 crashes on text with a pattern in a union with a list.
    secret: str | list[str]
    """Its name, or two names while one takes the other's place: then both are good."""
    algorithm: Algorithm = "sha256"

    def __post_init__(self) -> None:
        if (fault := header_fault(self.header, self.algorithm)) is not None:
            raise ValueError(f'header = "{self.header}": {fault}')
        if not 1 <= len(self.secrets) <= SIGNING_SECRETS:
            raise ValueError(f"secret: expected one name, or {SIGNING_SECRETS} in a list")
        if not all(_SECRET_NAME.match(name) for name in self.secrets):  # it is not shown: it may be a value
            raise ValueError("secret: expected the name of a secret, as `plat secret list` shows it")

    @property
    def secrets(self) -> list[str]:
        return [self.secret] if isinstance(self.secret, str) else self.secret


class Access(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may call."""

    auth: Literal["token", "public", "jwt"] = "token"
    cors: Annotated[list[Annotated[str, Meta(max_length=300)]], Meta(max_length=100)] = field(
        default_factory=list
    )
    """Origins whose pages may call. None: the function says itself who may."""
    hmac: Hmac | None = None

    def __post_init__(self) -> None:
        for number, origin in enumerate(self.cors):
            if (fault := origins.fault_of(origin)) is not None:
                raise ValueError(f'cors[{number}] = "{origin}": {fault}')
        if origins.ANY in self.cors and len(self.cors) > 1:
            raise ValueError('cors: "*" allows every origin, so leave out the others')
        if self.hmac is not None and self.auth != "public":
            raise ValueError(
                f'hmac: calls are let in by their signature or by a token, and auth = "{self.auth}" '
                'asks for a token: expected auth = "public"'
            )


class FunctionSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What plat.toml says, and what `PUT /v1/functions/<name>` takes: one shape for both."""

    name: FunctionName
    runtime: Runtime = "python"
    handler: Handler = "main.handler"
    event: Literal["body", "http"] = "body"
    scale: Scale = Scale()
    limits: Limits = Limits()
    access: Access = Access()
    env: dict[EnvName, EnvValue] = field(default_factory=dict)
    secrets: Annotated[list[SecretName], Meta(max_length=100)] = field(default_factory=list)
    """Names only: each becomes an environment variable of that name, kept with `plat secret set`."""

    def __post_init__(self) -> None:
        for number, name in enumerate(self.secrets):
            if name in self.env:
                raise ValueError(
                    f'secrets[{number}] = "{name}": env has that name too, leave out one of them'
                )
            if name in self.secrets[:number]:
                raise ValueError(f'secrets[{number}] = "{name}": expected each name once')


class VersionSpec(Struct, frozen=True, gc=False):
    """The part of a spec that an instance is made of. Immutable: a change needs a new version."""

    runtime: str
    handler: str
    event: str
    concurrency: int
    timeout_s: float
    memory_mb: int
    cpu: float
    env: dict[str, str]
    secrets: list[str] = field(default_factory=list)
    """Their names."""

    @classmethod
    def of(cls, spec: FunctionSpec) -> "VersionSpec":
        return cls(
            runtime=spec.runtime,
            handler=spec.handler,
            event=spec.event,
            concurrency=spec.scale.concurrency,
            timeout_s=spec.limits.timeout_s,
            memory_mb=spec.limits.memory_mb,
            cpu=spec.limits.cpu,
            env=spec.env,
            secrets=spec.secrets,
        )


class Function(Struct, frozen=True, kw_only=True):
    """A function as the API shows it."""

    name: FunctionName
    spec: FunctionSpec
    live: VersionNumber | None
    """The version that calls without a qualifier reach; none before the first deploy."""
    stopped: bool
    url: str
    created_at: datetime
    updated_at: datetime


class VersionError(Struct, frozen=True):
    """Why a version could not be deployed."""

    code: str
    detail: str
    traceback: str | None = None


class Version(Struct, frozen=True, kw_only=True):
    """A version as the API shows it."""

    function: FunctionName
    version: VersionNumber
    state: VersionState
    spec: VersionSpec
    digest: str
    """SHA-256 of the artifact, 64 hexadecimal digits."""
    size_bytes: int
    created_at: datetime
    live: bool
    unchanged: bool = False
    """True in the answer to a deploy of what was live already: no version was made."""
    error: VersionError | None = None


class Instance(Struct, frozen=True, kw_only=True):
    """An instance as the API shows it."""

    id: str
    function: FunctionName
    version: VersionNumber
    state: str
    driver: str
    started_at: datetime
    slots: int
    """Calls it can take at a time; 0: unlimited."""
    slots_held: int
    """Slots that routers hold, whether a call is in them or not."""


class DecisionInputs(Struct, frozen=True, kw_only=True, gc=False):
    """What the pool knew of a version when it decided. Counts are of instances, but for `queued`."""

    live: bool
    stopped: bool
    min: int
    """Instances to keep ready at that time, a schedule's counted in."""
    max: int
    idle_s: float
    pause_after_s: float | None
    concurrency: int
    queued: int
    """Calls that waited and had no free slot."""
    ready: int
    on_the_way: int
    """Starting, being loaded or being resumed."""
    promised: int = 0
    """Of those on the way: calls that wait have their slots already."""
    idle: int
    """Of the ready ones."""
    paused: int
    backing_off: bool
    """The last start failed, and the next one waits."""
    room: int | None
    """New instances that the machine had memory for; null: not limited."""
    processors_busy: bool = False
    """All of the machine's were, and the version had its share of them."""


class DecisionView(Struct, frozen=True, kw_only=True):
    """What the pool decided about a version, or what happened to it, as the API shows it."""

    function: FunctionName
    version: VersionNumber
    at: datetime
    until: datetime
    """When it was decided last; later than `at` only if it was decided more than once."""
    times: int
    reason: str
    start: int
    """Instances started."""
    resume: list[str]
    """Ids of instances, here and below."""
    pause: list[str]
    stop: list[str]
    inputs: DecisionInputs | None
    """Those of the first time; null for what happened without a decision."""


class LogLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line that an instance wrote. `GET .../logs` answers one JSON document a line (NDJSON)."""

    time: datetime
    function: str
    version: int
    instance: str
    stream: Literal["stdout", "stderr"]
    message: str


class FunctionPage(Struct, frozen=True):
    items: list[Function]
    next: str | None
    """Hand it back as `after` for the next page; null on the last."""


class VersionPage(Struct, frozen=True):
    items: list[Version]
    next: str | None


class InstanceList(Struct, frozen=True):
    items: list[Instance]


class DecisionList(Struct, frozen=True):
    """The oldest first."""

    items: list[DecisionView]


class LiveChange(Struct, frozen=True, forbid_unknown_fields=True):
    version: VersionNumber


class ScaleChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    min: Annotated[int, Meta(ge=0, le=1000)] | None = None
    max: Annotated[int, Meta(ge=1, le=1000)] | None = None
    pause_after_s: Annotated[float, Meta(ge=0.1, le=86_400)] | None = None


class Artifact(Struct, frozen=True):
    """The builder's answer: what it made of an upload."""

    digest: str
    size_bytes: int
    files: int


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 `application/problem+json`, with our stable `code`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    call_id: str = ""
    reason: str | None = None
    traceback: str | None = None
