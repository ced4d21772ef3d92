"""Who changed what, over the API and on both databases; and that no statement changes an entry."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from control.database import open_engine, writing
from tests.integration.control.platform import platform_in, settings_in

VALUE = "hunter2-of-the-audit"


async def test_every_change_is_written_down(database_url: str, tmp_path: Path) -> None:
    async with platform_in(settings_in(tmp_path, database_url=database_url)) as platform:
        call = platform.call
        assert (await call("PUT", "/v1/secrets/DB_URL", {"value": VALUE})).status == 201
        await call.create("hello", secrets=["DB_URL"])
        assert (await call.deploy("hello")).status == 201
        assert platform.pool.verified[-1].secrets.by_name == {"DB_URL": VALUE}
        assert (await call("DELETE", "/v1/secrets/DB_URL")).status == 409
        assert (await call("PUT", "/v1/functions/hello/scale", {"max": 3})).status == 200
        assert (await call("PUT", "/v1/functions/hello/live", {"version": 1})).status == 200
        token = (await call("POST", "/v1/tokens", {"name": "ci", "scopes": ["read"]})).json
        forwarded = {"Authorization": f"Bearer {token['token']}", "X-Forwarded-For": "6.6.6.6, 10.1.1.1"}
        assert (await call("GET", "/v1/audit", headers=forwarded)).status == 403
        assert (await call("GET", "/v1/functions", headers={"Authorization": "Bearer no"})).status == 401
        assert (await call("DELETE", f"/v1/tokens/{token['id']}")).status == 204
        assert (await call("POST", "/v1/rotate-secrets")).status == 200
        assert (await call("DELETE", "/v1/functions/hello")).status == 204
        assert (await call("DELETE", "/v1/secrets/DB_URL")).status == 204
        answer = await call("GET", "/v1/audit?limit=1000")
        assert VALUE.encode() not in answer.body and token["token"].encode() not in answer.body
        assert [_told(each) for each in reversed(answer.json["items"])] == [
            ("set_secret", "admin", "DB_URL", "ok"),
            ("put_function", "admin", "hello", "ok"),
            ("deploy", "admin", "hello", "ok"),
            ("delete_secret", "admin", "DB_URL", "secret_in_use"),
            ("scale", "admin", "hello", "ok"),
            ("set_live", "admin", "hello", "ok"),
            ("create_token", "admin", token["id"], "ok"),
            ("list_audit", token["id"], None, "forbidden"),
            ("list_functions", None, None, "unauthorized"),
            ("revoke_token", "admin", token["id"], "ok"),
            ("rotate_secrets", "admin", None, "ok"),
            ("delete_function", "admin", "hello", "ok"),
            ("delete_secret", "admin", "DB_URL", "ok"),
        ]
        (refused,) = (await call("GET", f"/v1/audit?actor={token['id']}")).json["items"]
        assert refused["address"] == "10.1.1.1"


def _told(entry: dict[str, Any]) -> tuple[str, str | None, str | None, str]:
    return entry["action"], entry["actor"], entry["function"] or entry["object"], entry["outcome"]


ANOTHER = """
INTO audit (id, at, address, action, outcome, call_id, unrecorded)
SELECT id, at, address, action, 'x', call_id, unrecorded FROM audit WHERE id = 1
"""
"""An entry in the place of one that is there."""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET outcome = 'x'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        f"INSERT OR REPLACE {ANOTHER}",
        f"REPLACE {ANOTHER}",
        f"INSERT {ANOTHER} ON CONFLICT (id) DO UPDATE SET outcome = 'x'",
    ],
)
async def test_no_statement_changes_an_entry(statement: str, database_url: str, tmp_path: Path) -> None:
    async with platform_in(settings_in(tmp_path, database_url=database_url)) as platform:
        await platform.call.create("hello")
    engine = writing(open_engine(database_url))
    try:
        with pytest.raises(DBAPIError, match=r"append-only|syntax"):
            async with engine.begin() as connection:
                await connection.execute(text(statement))
        async with engine.begin() as connection:
            assert (await connection.execute(text("SELECT outcome FROM audit"))).scalars().all() == ["ok"]
    finally:
        await engine.dispose()


async def test_entries_are_still_added(database_url: str, tmp_path: Path) -> None:
    """Also after one whose id no database gives, which is what a trigger of SQLite sees for none."""
    async with platform_in(settings_in(tmp_path, database_url=database_url)) as platform:
        await platform.call.create("one")
        engine = writing(open_engine(database_url))
        async with engine.begin() as connection:
            await connection.execute(text(f"INSERT {ANOTHER}".replace("SELECT id", "SELECT -1")))
        await engine.dispose()
        await platform.call.create("two")


async def test_what_is_no_secret_is_refused_and_not_repeated(database_url: str, tmp_path: Path) -> None:
    async with platform_in(settings_in(tmp_path, database_url=database_url)) as platform:
        call = platform.call
        for name, body in (
            ("PLAT_TOKEN", {"value": VALUE}),
            ("1A", {"value": VALUE}),
            ("A-B", {"value": VALUE}),
            ("A", {"value": VALUE + "\0"}),
            ("A", {"value": VALUE * 5000}),
            ("A", {"value": VALUE, "more": 1}),
            ("A", {"value": [VALUE]}),
            ("A", VALUE),
        ):
            answer = await call("PUT", f"/v1/secrets/{name}", body)
            assert (answer.status, VALUE.encode() in answer.body) == (422, False), (name, answer.body)
        assert (await call("GET", "/v1/secrets")).json["items"] == []
        await call.create("hello", secrets=["NOT_THERE"])
        refused = await call.deploy("hello")
        assert (refused.status, refused.json["code"]) == (422, "unknown_secret")
        assert '"NOT_THERE"' in refused.json["detail"]
