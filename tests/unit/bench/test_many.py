import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import create_engine

from bench.many import copy_function, names
from control.schema import metadata


def test_copies_are_functions_of_their_own_with_the_same_artifact(tmp_path: Path) -> None:
    database = tmp_path / "plat.db"
    engine = create_engine(f"sqlite:///{database}")
    metadata.create_all(engine)
    engine.dispose()
    with closing(sqlite3.connect(database)) as connection, connection:
        spec = '{"name": "cold", "runtime": "python"}'
        connection.execute("INSERT INTO functions VALUES ('cold', ?, 1, 0, 'then', 'then')", [spec])
        connection.execute(
            "INSERT INTO versions VALUES ('v1', 'cold', 1, 'ready', '{}', 'd', 9, NULL, 'then')"
        )
    copy_function(database, "cold", names("cold", 2))
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT name, json_extract(spec, '$.name'), live FROM functions").fetchall()
        versions = connection.execute("SELECT id, function, number, digest FROM versions").fetchall()
    assert sorted(rows) == [(name, name, 1) for name in ("cold", "cold-0001", "cold-0002")]
    assert {each[1:] for each in versions} == {(name, 1, "d") for name in ("cold", "cold-0001", "cold-0002")}
    assert len({each[0] for each in versions}) == 3
