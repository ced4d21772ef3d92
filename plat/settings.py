"""Settings of every service: flags, then `PLAT_*` variables, then a config file, then these defaults."""

import hashlib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from plat.address import Address
from plat.nearest import did_you_mean

ENV_PREFIX = "PLAT_"

CLIENT_VARIABLES = frozenset({"PLAT_URL", "PLAT_CONFIG"})
"""Known `PLAT_` variables that are no settings of a service: the CLI and the client read them."""

SOCKET_PATH_LIMIT = 107
"""Bytes of a unix socket's path (sun_path is 108 with its NUL, unix(7))."""

SECRETS = frozenset({"token", "secret_key", "jwt_secret"})
"""Settings that no message repeats."""

_LONGEST_SOCKET_NAME = len("/instances/0123456789abcdef/http.sock")

Port = Annotated[int, Meta(ge=0, le=65_535)]
Bytes = Annotated[int, Meta(ge=1)]


class SettingsError(Exception):
    """A setting is unknown or out of range; the message names it, its value and its source."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Built once at start by `load`. Names carry units; addresses are `unix:/path` or `tcp:host:port`."""

    host: str = "127.0.0.1"
    port: Port = 8080
    admin_port: Port = 8081
    data: str = ""
    driver: Literal["auto", "process", "docker"] = "auto"
    routers: Annotated[int, Meta(ge=1, le=64)] = 1
    token: str | None = None
    public_url: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    database_url: str = ""
    redis_url: str = ""
    """Where limits and idempotency keys are kept: `redis://`, `rediss://`, `unix://`, `redis+sentinel://`, `redis+cluster://`.
    Empty: in the pool."""
    idempotency_ttl_s: Annotated[float, Meta(ge=60, le=31_536_000)] = 86_400
    """Seconds that an idempotency key is known after its call."""
    idempotency_body_limit_bytes: Annotated[int, Meta(ge=1, le=64 * 1024 * 1024)] = 1024 * 1024
    """Largest body of a call with an idempotency key, and largest answer that is kept."""
    idempotency_memory_bytes: Bytes = 64 * 1024 * 1024
    """What kept answers take where they are kept in the pool; those used least lately make room."""
    control_address: str = ""
    pool_address: str = ""
    builder_address: str = ""
    body_limit_bytes: Bytes = 256 * 1024 * 1024
    body_min_bytes_per_s: Bytes = 8 * 1024
    """A body over 64 KB that comes more slowly is answered 408 (decision 3)."""
    body_grace_s: Annotated[float, Meta(gt=0)] = 10
    """Seconds that such a body has besides."""
    send_timeout_s: Annotated[float, Meta(gt=0)] = 60
    """Seconds in which a client must take some of what is written to it; else it is cut (decision 3)."""
    jwt_secret: Annotated[str, Meta(min_length=32, description="text of at least 32 characters")] | None = (
        None
    )
    """What JSON Web Tokens with HS256 are signed with, at least 32 characters (RFC 7518, 3.2)."""
    jwt_public_keys: str = ""
    """Public keys in PEM, one after another, or the path of a file with them: RS256, ES256, EdDSA."""
    jwt_jwks_url: Annotated[str, Meta(pattern=r"^(https?://\S+)?$", description="an http or https URL")] = ""
    """Where public keys are published (RFC 7517); fetched at start, every five minutes, and when needed."""
    jwt_issuer: str = ""
    """What `iss` must be; empty: anything."""
    jwt_audience: str = ""
    """What `aud` must be or have in it; empty: anything."""
    jwt_scope_claim: str = "scope"
    """Where the scopes are (`invoke:<pattern>`); empty: every valid token may call every jwt function."""
    jwt_leeway_s: Annotated[float, Meta(ge=0, le=300)] = 0
    """By how much clocks may differ."""
    secret_key: str | None = None
    """Keys of 32 bytes in base64, commas between: the first encrypts secrets, all of them decrypt."""
    secret_key_file: str = ""
    """A file with the same, one a line. Neither: `secret.key` in the data folder, made when needed."""
    archive_limit_bytes: Bytes = 256 * 1024 * 1024
    unpacked_limit_bytes: Bytes = 1024 * 1024 * 1024
    queue_limit: Annotated[int, Meta(ge=1)] = 1000
    """Calls that may wait for a slot, per function and router; one more is answered 429."""
    connection_limit: Annotated[int, Meta(ge=1)] = 10_000
    """Client connections of a router; one more is answered 503 and closed."""
    queue_timeout_s: Annotated[float, Meta(gt=0)] = 30
    """Seconds that a call waits for a slot at most; then it is answered 503."""
    start_timeout_s: Annotated[float, Meta(gt=0)] = 30
    """Seconds an instance has from its start until it answers its health check."""
    warm: Annotated[int, Meta(ge=0, le=100)] = 2
    """Started instances without a function, kept for each runtime and size that functions have. 0: none."""
    warm_limit: Annotated[int, Meta(ge=0, le=1000)] = 16
    """Warm instances of all kinds together; for a while there are more of a kind when many are taken."""
    keep_alive: Literal["fixed", "learned"] = "learned"
    """How long idle instances stay: `idle_s`, or what each function's calls have taught (from 30 s on)."""
    memory_mb: Annotated[int, Meta(ge=0)] = 0
    """What all instances' limits may add up to; idle ones make room for others. 0: 90 % of the machine."""
    drain_s: Annotated[float, Meta(ge=0)] = 30
    """Seconds that calls in flight have to finish when the platform stops."""
    docker_network: str = "plat"
    docker_python_image: str = "plat-runtime-python"
    docker_node_image: str = "plat-runtime-node"

    @property
    def data_dir(self) -> Path:
        if self.data:
            return Path(self.data).expanduser().absolute()
        base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
        return Path(base).expanduser().absolute() / "plat"

    @property
    def run_dir(self) -> Path:
        """Sockets: below the data folder, or a short folder of its own where that path is too long."""
        inside = self.data_dir / "run"
        if len(os.fsencode(inside)) + _LONGEST_SOCKET_NAME <= SOCKET_PATH_LIMIT:
            return inside
        digest = hashlib.sha256(os.fsencode(inside)).hexdigest()[:12]
        return Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp") / f"plat-{digest}"  # noqa: S108

    @property
    def base_url(self) -> str:
        """Where users reach the router, without a slash at the end."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return self.public_url.rstrip("/") or f"http://{host}:{self.port}"

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir / 'plat.db'}"

    @property
    def control(self) -> Address:
        return self._service(self.control_address, "control")

    @property
    def pool(self) -> Address:
        return self._service(self.pool_address, "pool")

    @property
    def builder(self) -> Address:
        return self._service(self.builder_address, "builder")

    def _service(self, address: str, name: str) -> Address:
        return Address.parse(address) if address else Address(path=str(self.run_dir / f"{name}.sock"))


def load(
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    config_file: Path | None = None,
) -> Settings:
    """The settings from all sources; a flag that is None was not given.

    Raises SettingsError for an unknown key or a value out of range.
    """
    environ = os.environ if environ is None else environ
    layers = [
        ("configuration file", _from_file(config_file) if config_file else {}),
        ("environment", _from_environ(environ)),
        ("flags", {key: value for key, value in (flags or {}).items() if value is not None}),
    ]
    merged: dict[str, Any] = {}
    for source, values in layers:
        for key, value in values.items():
            _check(key, value, source)
            merged[key] = value
    return msgspec.convert(merged, Settings, strict=False)


def _from_environ(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(ENV_PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(ENV_PREFIX) and name not in CLIENT_VARIABLES and not name.startswith("PLAT_TEST_")
    }


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error


def _check(key: str, value: Any, source: str) -> None:
    known = Settings.__struct_fields__
    if key not in known:
        name = _display(key, source)
        suggestion = did_you_mean(name, [_display(each, source) for each in known])
        raise SettingsError(f'Unknown setting "{name}" ({source}).{suggestion}')
    try:
        msgspec.convert({key: value}, Settings, strict=False)
        if key.endswith("_address") and value:
            Address.parse(value)
    except (msgspec.ValidationError, ValueError) as error:
        text = str(error).split(" - at ")[0]
        shown = "(not shown)" if key in SECRETS else repr(value)
        raise SettingsError(f"{_display(key, source)} = {shown} ({source}): {text}") from error


def _display(key: str, source: str) -> str:
    match source:
        case "environment":
            return ENV_PREFIX + key.upper()
        case "flags":
            return "--" + key.replace("_", "-")
        case _:
            return key
