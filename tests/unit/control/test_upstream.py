"""Whose fault a failed call to builder or pool is, and what is asked of them; their answers are scripted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

import control.upstream
from control.upstream import ANSWER_S, VERIFY_GRACE_S, Builder, Pool, Upload
from plat.address import Address
from plat.errors import PlatError
from plat.feed import VersionEntry
from plat.model import Artifact, DecisionList, FunctionSpec, InstanceList, VersionSpec
from tests.unit.requests import payload

ADDRESS = Address(path="/run/service.sock")
ARTIFACT = Artifact(digest="a" * 64, size_bytes=10, files=1)
VERSION = VersionEntry("id", "hello", 1, "a" * 64, VersionSpec.of(FunctionSpec(name="hello")))


class Answer:
    def __init__(
        self, status: int, body: bytes, content_type: str, error: Exception | None, headers: dict[str, str]
    ) -> None:
        self.status = status
        self.headers = headers
        self.content_type = content_type
        self.content = payload(body, error=error)
        self._body = body

    async def read(self) -> bytes:
        return self._body


class Session:
    """Answers every request alike, or fails as aiohttp does; reads bodies like aiohttp."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = {}
        self.content_type = "application/json"
        self.headers: dict[str, str] = {}
        self.error: Exception | None = None
        """Raised in place of an answer."""
        self.cut: Exception | None = None
        """Raised by reading the answer's body."""
        self.asked: list[tuple[str, str]] = []
        self.options: dict[str, Any] = {}
        self.received = b""

    @asynccontextmanager
    async def request(self, method: str, path: str, **options: Any) -> AsyncIterator[Answer]:
        self.asked.append((method, path))
        self.options = options
        if self.error is not None:
            raise self.error
        if isinstance(data := options.get("data"), AsyncIterator):
            try:
                self.received = b"".join([chunk async for chunk in data])
            except Exception as error:
                raise aiohttp.ClientConnectionError("Failed to send bytes") from error
        body = self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)
        yield Answer(self.status, body, self.content_type, self.cut, self.headers)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    session = Session()
    monkeypatch.setattr(control.upstream, "session_for", lambda _: session)
    return session


def upload(*chunks: bytes, error: Exception | None = None) -> Upload:
    async def body() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk
        if error is not None:
            raise error

    return Upload(body())


async def test_an_upload_is_handed_on_with_its_length(session: Session) -> None:
    session.body = ARTIFACT
    assert await Builder(ADDRESS).build(upload(b"on", b"e"), 3) == ARTIFACT
    assert (session.asked, session.received) == ([("POST", "/artifacts")], b"one")
    assert session.options["headers"] == {"Content-Type": "application/zip", "Content-Length": "3"}
    assert session.options["timeout"].total is None
    await Builder(ADDRESS).build(upload(b"one"), None)
    assert session.options["headers"] == {"Content-Type": "application/zip"}


@pytest.mark.parametrize("error", [PlatError("bad_request", "It ended."), ZeroDivisionError()])
async def test_an_upload_that_breaks_off_is_not_the_builders_fault(
    error: Exception, session: Session
) -> None:
    with pytest.raises(type(error)) as caught:
        await Builder(ADDRESS).build(upload(b"one", error=error), None)
    assert caught.value is error


async def test_a_problem_is_handed_on(session: Session) -> None:
    refusal = PlatError("handler_import_failed", "No.", reason="word", traceback="ValueError")
    session.status, session.body = 422, refusal.problem("call")
    session.content_type = "application/problem+json"
    with pytest.raises(PlatError) as caught:
        await Pool(ADDRESS, 30).verify(VERSION)
    told = caught.value
    assert (told.code, told.detail, told.reason, told.traceback) == (
        refusal.code, refusal.detail, refusal.reason, refusal.traceback,
    )  # fmt: skip


async def test_a_problem_keeps_when_to_try_again(session: Session) -> None:
    session.status, session.body = 503, PlatError("shutting_down", "Bye.").problem("call")
    session.content_type, session.headers = "application/problem+json", {"Retry-After": "7"}
    with pytest.raises(PlatError, match="Bye") as caught:
        await Pool(ADDRESS, 30).verify(VERSION)
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"oops", "text/plain"),
        (b"oops", "application/problem+json"),
        (b"{}", "application/problem+json"),
        (b'{"code": "\xff"}', "application/problem+json"),
    ],
)
async def test_a_refusal_without_a_reason_names_the_service(
    body: bytes, content_type: str, session: Session
) -> None:
    session.status, session.body, session.content_type = 500, body, content_type
    with pytest.raises(PlatError, match="The builder answered 500 without a reason") as caught:
        await Builder(ADDRESS).build(upload(), None)
    assert caught.value.code == "builder_unavailable"


@pytest.mark.parametrize("body", [b"", b"[]", b"oops", b'{"items": ["\xff"]}'])
async def test_an_answer_that_cannot_be_read_is_none(body: bytes, session: Session) -> None:
    session.body = body
    with pytest.raises(PlatError) as caught:
        await Pool(ADDRESS, 30).instances("hello")
    assert caught.value.code == "pool_unavailable"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ConnectionRefusedError("refused"), "refused"),
        (aiohttp.ServerDisconnectedError(), "Server disconnected"),
        (TimeoutError(), "TimeoutError"),
    ],
)
async def test_a_service_that_is_away_is_told_by_name_place_and_cause(
    error: Exception, why: str, session: Session
) -> None:
    session.error = error
    with pytest.raises(PlatError, match=f"The pool at unix:/run/service.sock does not answer: {why}") as told:
        await Pool(ADDRESS, 30).verify(VERSION)
    assert (told.value.code, told.value.retry_after_s) == ("pool_unavailable", 1)


async def test_a_verification_may_take_the_start_and_the_fetching(session: Session) -> None:
    await Pool(ADDRESS, 30).verify(VERSION)
    assert session.options["timeout"].total == 30 + VERIFY_GRACE_S
    assert session.asked == [("POST", "/verify")]
    assert msgspec.json.decode(session.options["data"], type=VersionEntry) == VERSION


async def test_instances_are_asked_for_by_function(session: Session) -> None:
    session.body = InstanceList(items=[])
    assert await Pool(ADDRESS, 30).instances("hello") == InstanceList(items=[])
    assert (session.asked, session.options["params"]) == ([("GET", "/instances")], {"function": "hello"})
    assert session.options["timeout"].total == ANSWER_S


async def test_decisions_are_asked_for_by_function(session: Session) -> None:
    session.body = DecisionList(items=[])
    assert await Pool(ADDRESS, 30).decisions("hello") == DecisionList(items=[])
    assert (session.asked, session.options["params"]) == ([("GET", "/decisions")], {"function": "hello"})
    assert session.options["timeout"].total == ANSWER_S


async def test_logs_come_in_pieces_for_as_long_as_they_come(session: Session) -> None:
    session.body = b"one\n"
    async with Pool(ADDRESS, 30).logs("hello", tail=3, follow=True) as pieces:
        assert [piece async for piece in pieces] == [b"one\n"]
    assert session.options["params"] == {"function": "hello", "tail": "3", "follow": "true"}
    assert session.options["timeout"].total is None


async def test_logs_that_break_off_are_the_pools_fault(session: Session) -> None:
    session.cut = aiohttp.ClientPayloadError("cut")
    async with Pool(ADDRESS, 30).logs("hello", tail=3, follow=False) as pieces:
        with pytest.raises(PlatError, match="does not answer: cut") as caught:
            await anext(pieces)
    assert caught.value.code == "pool_unavailable"
