"""The column types: moments stay in UTC, structs stay themselves."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import make_url
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateTable

from control.schema import Document, UtcTime, metadata
from plat.model import FunctionSpec, Scale

DIALECTS: list[Dialect] = [
    make_url(url).get_dialect()() for url in ("sqlite+aiosqlite://", "postgresql+asyncpg://")
]
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda each: each.name)
def test_moments(dialect: Dialect) -> None:
    kind = UtcTime()
    assert kind.process_bind_param(MOMENT.astimezone(timezone(timedelta(hours=-8))), dialect) == MOMENT
    assert kind.process_result_value(MOMENT.replace(tzinfo=None), dialect) == MOMENT
    assert kind.process_result_value(MOMENT.astimezone(timezone(timedelta(hours=3))), dialect) == MOMENT
    assert kind.process_bind_param(None, dialect) is None
    assert kind.process_result_value(None, dialect) is None


def test_a_moment_without_a_zone_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="without a zone"):
        UtcTime().process_bind_param(MOMENT.replace(tzinfo=None), DIALECTS[0])


def test_documents() -> None:
    kind = Document(FunctionSpec)
    spec = FunctionSpec(name="a", scale=Scale(max=3), env={"A": 'ä"\u0001'})
    text = kind.process_bind_param(spec, DIALECTS[0])
    assert isinstance(text, str)
    assert kind.process_result_value(text, DIALECTS[0]) == spec
    assert kind.process_bind_param(None, DIALECTS[0]) is None
    assert kind.process_result_value(None, DIALECTS[0]) is None


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda each: each.name)
def test_every_table_can_be_made(dialect: Dialect) -> None:
    for table in metadata.sorted_tables:
        assert f"CREATE TABLE {table.name}" in str(CreateTable(table).compile(dialect=dialect))
