"""What unit tests of the control service put in place of sockets: rows, a feed, a builder and a pool."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec

from control.feed import Change, Feed
from control.rows import FunctionRow, TokenRow, VersionRow
from control.upstream import Builder, Pool, Upload
from plat.artifacts import FolderArtifacts
from plat.errors import PlatError
from plat.feed import VersionEntry
from plat.model import Artifact, DecisionList, FunctionSpec, InstanceList, VersionSpec

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KEY = base64.b64encode(bytes(range(32))).decode()


def function_row(name: str = "hello", **changes: object) -> FunctionRow:
    row = FunctionRow(
        name=name, spec=FunctionSpec(name=name), live=None, stopped=False, created_at=NOW, updated_at=NOW
    )
    return msgspec.structs.replace(row, **changes)


def version_row(number: int = 1, function: str = "hello", **changes: object) -> VersionRow:
    row = VersionRow(
        id=f"{function}-{number}",
        function=function,
        number=number,
        state="ready",
        spec=VersionSpec.of(FunctionSpec(name=function)),
        digest=f"{number:064}",
        size_bytes=10,
        error=None,
        created_at=NOW,
    )
    return msgspec.structs.replace(row, **changes)


def token_row(identity: str = "0123", **changes: object) -> TokenRow:
    row = TokenRow(
        id=identity,
        digest=f"{identity:>064}",
        name=f"token {identity}",
        owner=None,
        parent=None,
        scopes=("admin",),
        created_at=NOW,
        expires_at=None,
        last_used_at=None,
    )
    return msgspec.structs.replace(row, **changes)


class ToldFeed(Feed):
    """Keeps what it was told, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Change] = []
        self.heard = asyncio.Event()

    def publish(self, message: Change) -> None:
        self.heard.set()
        self.told.append(message)


class Shelf(FolderArtifacts):
    """Notes what is deleted from it."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def delete(self, digest: str) -> None:
        self.deleted.append(digest)


class FakeBuilder(Builder):
    """Reads an upload and answers `artifact`, or raises `error`. It has no session."""

    def __init__(self) -> None:
        self.artifact = Artifact(digest="a" * 64, size_bytes=10, files=1)
        self.error: Exception | None = None
        self.received: list[tuple[bytes, int | None]] = []

    async def build(self, upload: Upload, length: int | None) -> Artifact:
        self.received.append((b"".join([chunk async for chunk in upload]), length))
        if self.error is not None:
            raise self.error
        return self.artifact


class FakePool(Pool):
    """Finds every version good, or raises `error`; waits while it is held. It has no session."""

    def __init__(self) -> None:
        self.verified: list[VersionEntry] = []
        self.error: Exception | None = None
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.lines: list[bytes] = []
        self.breaks_off: PlatError | None = None
        self.logs_asked: list[tuple[str, int, bool]] = []

    def hold(self) -> None:
        self.asked.clear()
        self.may_answer.clear()

    async def verify(self, version: VersionEntry) -> None:
        self.asked.set()
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        self.verified.append(version)

    async def instances(self, function: str) -> InstanceList:
        return InstanceList(items=[])

    async def decisions(self, function: str) -> DecisionList:
        return DecisionList(items=[])

    @asynccontextmanager
    async def logs(self, function: str, *, tail: int, follow: bool) -> AsyncIterator[AsyncIterator[bytes]]:
        self.logs_asked.append((function, tail, follow))
        if self.error is not None:
            raise self.error
        yield self._lines()

    async def _lines(self) -> AsyncIterator[bytes]:
        for line in self.lines:
            yield line
        if self.breaks_off is not None:
            raise self.breaks_off
