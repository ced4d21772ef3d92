"""Database URLs: those that can be used, and what is said of the others."""

import re
import traceback
from pathlib import Path

import pytest

from control.database import open_engine
from plat.errors import PlatError


@pytest.mark.parametrize(
    "url",
    ["", "plat.db", "sqlite:///plat.db", "mysql://x/y", "nonsense+driver://x", "postgresql+psycopg2://h/d"],
)
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(PlatError, match=r"sqlite\+aiosqlite|not installed") as caught:
        open_engine(url)
    assert caught.value.code == "invalid"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:geheim@host/name",
        "postgres://user:geheim@host/name",
        "postgres://user:ge@geheim@host/name",
        "postgres://user:a/b?geheim@host/name",
        "postgresql://host/name?user=ann&password=geheim",
        "postgres://host/name?password=a@geheim",
        "user:geheim@host/name",
        "mysql//user:geheim@host/name",
        "postgresql+asyncpg://user:geheim@host:port/name",
    ],
)
def test_a_password_is_not_shown(url: str) -> None:
    with pytest.raises(PlatError) as caught:
        open_engine(url)
    shown = "".join(traceback.format_exception(caught.value))
    assert "geheim" not in caught.value.detail and "geheim" not in shown
    assert "postgresql+asyncpg://user:password@host/name" in caught.value.detail


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgres://user:geheim@host/name", 'The database URL "postgres://..." cannot be used'),
        ("plat.db", 'The database URL "plat.db" cannot be used'),
    ],
)
def test_what_is_wrong_with_a_url_is_said(url: str, said: str) -> None:
    with pytest.raises(PlatError, match=re.escape(said)):
        open_engine(url)


async def test_the_time_to_wait_for_a_lock_can_be_given(tmp_path: Path) -> None:
    given = open_engine(f"sqlite+aiosqlite:///{tmp_path}/a.db?timeout=1")
    default = open_engine(f"sqlite+aiosqlite:///{tmp_path}/a.db")
    assert (given.url.query["timeout"], default.url.query["timeout"]) == ("1", "5")
    await given.dispose()
    await default.dispose()
