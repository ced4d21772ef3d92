"""The tables, as SQLAlchemy Core has them: the same on SQLite and PostgreSQL.

Columns and their types only. `migrations/` leads a database here step by step; a test compares both.
"""

from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from plat.model import FunctionSpec, VersionError, VersionSpec

T = TypeVar("T")


class UtcTime(TypeDecorator[datetime]):
    """A moment. SQLite keeps no zone, so all are written in UTC and come back in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        assert value.tzinfo is not None, "a time without a zone is nobody's time"
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Document(TypeDecorator[T], Generic[T]):
    """A struct as JSON text: never searched, so no JSON type of one database is needed."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[T]) -> None:
        super().__init__()
        self.kind = kind
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)

    def process_bind_param(self, value: T | None, dialect: Dialect) -> str | None:
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> T | None:
        return None if value is None else self._decoder.decode(value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

functions = Table(
    "functions",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("spec", Document(FunctionSpec), nullable=False),
    Column("live", Integer, nullable=True),
    Column("stopped", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("function", String(63), ForeignKey("functions.name", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("spec", Document(VersionSpec), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("error", Document(VersionError), nullable=True),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("function", "number"),
    Index(None, "digest"),
)

users = Table(
    "users",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("created_at", UtcTime, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("name", String(63), nullable=False),
    Column("owner", String(63), ForeignKey("users.name", ondelete="CASCADE"), nullable=True),
    Column("parent", String(32), ForeignKey("tokens.id", ondelete="CASCADE"), nullable=True),
    Column("scopes", Document(tuple[str, ...]), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=True),
    Column("last_used_at", UtcTime, nullable=True),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("key", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(32), nullable=True),
    Column("owner", String(63), nullable=True),
    Column("address", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("function", String(63), nullable=True),
    Column("object", String(128), nullable=True),
    Column("outcome", String(32), nullable=False),
    Column("call_id", String(128), nullable=False),
    Column("unrecorded", Integer, nullable=False),
    Index(None, "function", "id"),
    Index(None, "actor", "id"),
    sqlite_autoincrement=True,
)
"""Only ever added to: triggers of the migration refuse everything else."""
