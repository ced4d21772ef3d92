"""The migrations lead to exactly the tables that the code uses, and back."""

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from control.database import migrate, migrations_config, open_engine, writing
from control.schema import metadata
from plat.errors import PlatError


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True}
    )
    return list(compare_metadata(context, metadata))


async def test_the_migrations_make_the_schema(database_url: str) -> None:
    engine = open_engine(database_url)
    await migrate(engine)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_a_difference_would_be_seen(database_url: str) -> None:
    engine = open_engine(database_url)
    await migrate(engine)
    async with writing(engine).begin() as connection:
        await connection.execute(text("ALTER TABLE functions ADD COLUMN extra INTEGER"))
        await connection.execute(text("DROP INDEX ix_versions_digest"))
        assert len(await connection.run_sync(differences)) == 2
    await engine.dispose()


async def test_migrating_twice_is_migrating_once(database_url: str) -> None:
    engine = open_engine(database_url)
    await migrate(engine)
    await migrate(engine)
    await engine.dispose()


async def test_the_way_back(database_url: str) -> None:
    engine = open_engine(database_url)
    await migrate(engine)

    def downgrade(connection: Connection) -> set[str]:
        config = migrations_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        return set(inspect(connection).get_table_names())

    async with writing(engine).begin() as connection:
        assert await connection.run_sync(downgrade) == {"alembic_version"}
    await migrate(engine)
    await engine.dispose()


async def test_the_way_back_by_a_step(database_url: str) -> None:
    engine = open_engine(database_url)
    await migrate(engine)

    def downgrade(connection: Connection) -> None:
        config = migrations_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")

    for _ in range(2):
        async with writing(engine).begin() as connection:
            await connection.run_sync(downgrade)
        await migrate(engine)
    await engine.dispose()


async def test_a_database_of_a_newer_release_is_refused(database_url: str) -> None:
    engine = open_engine(database_url)
    await migrate(engine)
    async with writing(engine).begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(PlatError, match=r"another release of Plat.*9999"):
        await migrate(engine)
    await engine.dispose()
