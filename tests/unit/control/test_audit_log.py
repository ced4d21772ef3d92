"""What of a request becomes an entry, and how entries are found again."""

from datetime import UTC, datetime, timedelta

import pytest
from aiohttp.test_utils import make_mocked_request

from control.audit import Event
from control.audit_log import AuditLog, address_of, event_of
from control.queries import AuditQuery
from control.store import Store
from tests.unit.control.fakes import token_row


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({"X-Forwarded-For": "6.6.6.6, 10.0.0.1"}, "10.0.0.1"),  # only the last is the router's own word
        ({"X-Forwarded-For": "10.0.0.1"}, "10.0.0.1"),
        ({}, "local"),
    ],
)
def test_the_address_is_the_one_that_the_router_saw(headers: dict[str, str], address: str) -> None:
    request = make_mocked_request("PUT", "/", headers=headers)
    assert address_of(request) in (address, "127.0.0.1" if address == "local" else address)


@pytest.mark.parametrize(
    ("match_info", "function", "about"),
    [
        ({"name": "hello"}, "hello", None),
        ({"name": "No Such\0Name"}, None, None),
        ({"secret": "DB_URL"}, None, "DB_URL"),
        ({"id": "x\0" + "y" * 500}, None, "x" + "y" * 126 + "…"),
    ],
)
def test_what_it_was_about(match_info: dict[str, str], function: str | None, about: str | None) -> None:
    event = event_of(make_mocked_request("PUT", "/", match_info=match_info), "deploy")
    assert (event.function, event.object) == (function, about)


async def entries(store: Store) -> AuditLog:
    """Five of them, by two tokens on two functions, one a failure."""
    audit_log = AuditLog(store)
    for number in range(5):
        event = Event(action="deploy" if number % 2 else "scale", address="a", call_id=f"c{number}")
        event.function = "even" if number % 2 == 0 else "odd"
        event.caller = token_row(f"{number % 2}")
        await (audit_log.failed(event, "forbidden") if number == 4 else audit_log.succeeded(event))
    return audit_log


async def test_pages_are_newest_first_without_gap_or_repeat(store: Store) -> None:
    audit_log = await entries(store)
    first = await audit_log.page(AuditQuery(limit=2))
    assert first.next is not None
    second = await audit_log.page(AuditQuery(limit=3, after=int(first.next)))
    assert [each.call_id for each in (*first.items, *second.items)] == ["c4", "c3", "c2", "c1", "c0"]
    assert second.next is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (AuditQuery(function="odd"), ["c3", "c1"]),
        (AuditQuery(actor="0"), ["c4", "c2", "c0"]),
        (AuditQuery(action="scale", function="even", limit=1), ["c4"]),
        (AuditQuery(function="odd", actor="0"), []),
        (AuditQuery(since=datetime.now(UTC) + timedelta(days=1)), []),
        (AuditQuery(since=datetime(2020, 1, 1, tzinfo=UTC)), ["c4", "c3", "c2", "c1", "c0"]),
    ],
)
async def test_filters(query: AuditQuery, found: list[str], store: Store) -> None:
    audit_log = await entries(store)
    assert [each.call_id for each in (await audit_log.page(query)).items] == found


async def test_a_failure_keeps_its_code(store: Store) -> None:
    audit_log = await entries(store)
    assert (await audit_log.page(AuditQuery(limit=1))).items[0].outcome == "forbidden"
