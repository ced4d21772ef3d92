"""The handlers: which status an answer has, what is checked before anything is done, logs that break off."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from control.accounts import Accounts
from control.api import Api, handler_of
from control.audit_log import AuditLog
from control.catalog import Catalog
from control.deploys import Deploys
from control.keyring import Keyring
from control.metrics import ControlMetrics
from control.permissions import CALLER
from control.routes import OPERATIONS, Operation
from control.secret_book import SecretBook
from control.secrets import Secrets
from control.store import Store
from control.sweep import Sweeper
from control.token_book import TokenBook
from plat.errors import PlatError
from plat.model import Function, Version
from plat.settings import Settings
from tests.unit.control.fakes import KEY, FakeBuilder, FakePool, Shelf, ToldFeed, token_row
from tests.unit.requests import Writer, payload

ARCHIVE_LIMIT = 10
ADMIN = token_row("admin")


class Bench:
    def __init__(self, store: Store) -> None:
        self.builder, self.pool = FakeBuilder(), FakePool()
        sweeper = Sweeper(store, Shelf())
        self.catalog = Catalog(store, ToldFeed(), sweeper, "")
        deploys = Deploys(
            store, self.catalog, sweeper, builder=self.builder, pool=self.pool, metrics=ControlMetrics()
        )
        self.book = TokenBook([ADMIN])
        accounts = Accounts(store, ToldFeed(), self.book)
        keyring = Keyring(Settings(secret_key=KEY))
        secrets = Secrets(store, ToldFeed(), SecretBook(), keyring)
        self.api = Api(
            self.catalog,
            deploys,
            self.pool,
            accounts,
            secrets,
            AuditLog(store),
            archive_limit_bytes=ARCHIVE_LIMIT,
        )

    async def __call__(
        self, operation: str, query: str = "", body: bytes = b"", *, version: str = "1", **options: Any
    ) -> Any:
        """What a handler answers for the function `hello`: status and parsed body."""
        answer = await self.handle(operation, query, body, version=version, **options)
        assert isinstance(answer, web.Response)
        assert isinstance(answer.body, bytes | None)
        return answer.status, msgspec.json.decode(answer.body) if answer.body else None

    async def handle(
        self, operation: str, query: str = "", body: bytes = b"", *, version: str = "1", **options: Any
    ) -> web.StreamResponse:
        match_info = {
            "name": "hello",
            "version": version,
            "id": "unknown",
            "user": "nobody",
            "secret": "DB_URL",
        }
        request = make_mocked_request(
            "POST", f"/{query}", match_info=match_info, payload=payload(body), **options
        )
        request[CALLER] = ADMIN
        [found] = [each for each in OPERATIONS if each.name == operation]
        answer = await handler_of(self.api, found)(request)
        assert isinstance(answer, web.StreamResponse)
        return answer


@pytest.fixture
async def bench(store: Store) -> AsyncIterator[Bench]:
    bench = Bench(store)
    yield bench
    await bench.catalog.close()


async def failing(bench: Bench, *arguments: Any, **options: Any) -> str:
    with pytest.raises(PlatError) as caught:
        await bench(*arguments, **options)
    return caught.value.code


async def test_what_was_made_is_201_and_what_was_there_is_200(bench: Bench) -> None:
    assert [(await bench("put_function", body=b"{}"))[0] for _ in range(2)] == [201, 200]
    answers = [await bench("deploy", body=b"zip") for _ in range(2)]
    assert [(status, body["unchanged"]) for status, body in answers] == [(201, False), (200, True)]
    status, body = await bench("get_version")
    assert (status, msgspec.convert(body, Version).live) == (200, True)
    assert await bench("delete_function") == (204, None)


async def test_stop_and_start_and_scale_answer_the_function_as_it_is_now(bench: Bench) -> None:
    await bench("put_function", body=b"{}")
    answers = [await bench("stop"), await bench("scale", body=b'{"max": 3}'), await bench("start")]
    functions = [msgspec.convert(body, Function) for _, body in answers]
    assert [(each.stopped, each.spec.scale.max) for each in functions] == [(True, 20), (True, 3), (False, 3)]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
async def test_an_unknown_parameter_is_refused_before_anything_is_done(
    operation: Operation, bench: Bench
) -> None:
    assert await failing(bench, operation.name, "?nonsense=1") == "invalid"
    assert (await bench.catalog.page(10, "")).items == []


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-Type": "application/json"}, "unsupported_media_type"),
        ({"Content-Length": "11"}, "body_too_large"),
    ],
)
async def test_a_refused_upload_is_not_asked_for(headers: dict[str, str], code: str, bench: Bench) -> None:
    await bench("put_function", body=b"{}")
    writer = Writer()
    headers |= {"Expect": "100-continue"}
    assert await failing(bench, "deploy", body=b"zip", headers=headers, writer=writer) == code
    assert (writer.written, bench.builder.received) == ([], [])


@pytest.mark.parametrize(
    ("headers", "length"),
    [({"Content-Length": "3"}, 3), ({"Content-Length": "3", "Content-Encoding": "gzip"}, None)],
)
async def test_the_builder_is_told_the_length_of_what_it_gets(
    headers: dict[str, str], length: int | None, bench: Bench
) -> None:
    await bench("put_function", body=b"{}")
    await bench("deploy", body=b"zip", headers=headers)
    assert bench.builder.received == [(b"zip", length)]


@pytest.mark.parametrize("number", ["0", "-1", "1.0", "x", "", "²", "2147483648", "9" * 5000])
async def test_what_is_no_number_of_a_version_is_not_found(number: str, bench: Bench) -> None:
    assert await failing(bench, "get_version", version=number) == "function_not_found"
    await bench("put_function", body=b"{}")
    assert await failing(bench, "get_version", version=number) == "version_not_found"


async def test_the_greatest_number_is_looked_up(bench: Bench) -> None:
    await bench("put_function", body=b"{}")
    assert await failing(bench, "get_version", version="2147483647") == "version_not_found"


async def test_logs_are_written_as_they_come(bench: Bench) -> None:
    await bench("put_function", body=b"{}")
    bench.pool.lines = [b"one\n", b"two\n"]
    writer = Writer()
    answer = await bench.handle(
        "read_logs", "?tail=5&follow=true", writer=writer, headers={"X-Call-Id": "call"}
    )
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-ndjson")
    assert answer.headers["X-Call-Id"] == "call"
    assert (b"".join(writer.written), writer.ended) == (b"one\ntwo\n", True)
    assert bench.pool.logs_asked == [("hello", 5, True)]


async def test_logs_of_an_unknown_function_are_not_asked_for(bench: Bench) -> None:
    assert await failing(bench, "read_logs") == "function_not_found"
    assert await failing(bench, "list_instances") == "function_not_found"
    assert await failing(bench, "list_decisions") == "function_not_found"
    assert bench.pool.logs_asked == []


async def test_a_pool_that_is_away_is_told_while_the_answer_has_not_begun(bench: Bench) -> None:
    await bench("put_function", body=b"{}")
    bench.pool.error = PlatError("pool_unavailable", "Away.")
    writer = Writer()
    assert await failing(bench, "read_logs", writer=writer) == "pool_unavailable"
    assert writer.output_size == 0


class Transport(asyncio.Transport):
    closed = False

    def close(self) -> None:
        self.closed = True


async def test_logs_that_break_off_are_cut_so_that_they_do_not_look_whole(bench: Bench) -> None:
    await bench("put_function", body=b"{}")
    bench.pool.lines, bench.pool.breaks_off = [b"one\n"], PlatError("pool_unavailable", "Away.")
    writer, transport = Writer(), Transport()
    await bench.handle("read_logs", writer=writer, transport=transport)
    assert (writer.written, writer.ended, transport.closed) == ([b"one\n"], False, True)


async def test_a_reader_that_has_gone_is_no_failure_of_the_pool(bench: Bench) -> None:
    await bench("put_function", body=b"{}")
    bench.pool.lines = [b"one\n"]
    transport = Transport()
    await bench.handle("read_logs", writer=Writer(ConnectionResetError("gone")), transport=transport)
    assert transport.closed
