"""What the store reads and writes, one struct a table. No SQL, no rules."""

from datetime import datetime

from msgspec import Struct

from plat.model import FunctionSpec, VersionError, VersionSpec, VersionState


class FunctionRow(Struct, frozen=True, kw_only=True):
    name: str
    spec: FunctionSpec
    live: int | None
    stopped: bool
    created_at: datetime
    updated_at: datetime


class VersionRow(Struct, frozen=True, kw_only=True):
    id: str
    """Random and unique for ever, also when a deleted function's name and numbers come back."""
    function: str
    number: int
    state: VersionState
    spec: VersionSpec
    digest: str
    size_bytes: int
    error: VersionError | None
    created_at: datetime


class UserRow(Struct, frozen=True, kw_only=True):
    name: str
    created_at: datetime


class TokenRow(Struct, frozen=True, kw_only=True):
    id: str
    digest: str
    """The token's SHA-256, 64 hexadecimal digits: the token itself is nowhere."""
    name: str
    owner: str | None
    parent: str | None
    """The token it was made with, and goes with; none if that was an admin's."""
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class SecretRow(Struct, frozen=True, kw_only=True):
    name: str
    key: str
    """The id of the key that it is encrypted with."""
    sealed: bytes
    created_at: datetime
    updated_at: datetime


class AuditRow(Struct, frozen=True, kw_only=True):
    """As `plat.administration.AuditEntry`. The database gives the id."""

    id: int = 0
    at: datetime
    actor: str | None
    owner: str | None
    address: str
    action: str
    function: str | None
    object: str | None
    outcome: str
    call_id: str
    unrecorded: int
