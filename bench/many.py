"""Hundreds of functions out of one: rows of the platform's database copied while it does not run.

A deploy each would take minutes, and every one would leave an instance.
"""

import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

_FUNCTION = """
INSERT INTO functions (name, spec, live, stopped, created_at, updated_at)
SELECT ?, json_set(spec, '$.name', ?), live, stopped, created_at, updated_at FROM functions WHERE name = ?
"""
_VERSION = """
INSERT INTO versions (id, function, number, state, spec, digest, size_bytes, error, created_at)
SELECT ?, ?, number, state, spec, digest, size_bytes, error, created_at FROM versions WHERE function = ?
"""


def names(template: str, count: int) -> list[str]:
    return [f"{template}-{number:04d}" for number in range(1, count + 1)]


def copy_function(database: Path, template: str, copies: Sequence[str]) -> None:
    """`template` has one version. The copies share its artifact."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(_FUNCTION, [(name, name, template) for name in copies])
        versions = [(secrets.token_hex(16), name, template) for name in copies]
        connection.executemany(_VERSION, versions)
